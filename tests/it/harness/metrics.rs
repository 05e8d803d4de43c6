//! Prometheus' text format, read strictly: what it says is wrong, a scraper would stumble over.

use std::collections::{HashMap, HashSet};

#[derive(Debug)]
pub struct Metrics {
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Metrics {
    /// The sum over the series of this name that have these labels; 0 where there are none.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.series(name, labels).map(|sample| sample.value).sum()
    }

    pub fn has(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.series(name, labels).next().is_some()
    }

    /// Every value that a label takes, over all series.
    pub fn label_values(&self, label: &str) -> HashSet<&str> {
        let labels = self.samples.iter().flat_map(|sample| &sample.labels);
        labels.filter(|(name, _)| name == label).map(|(_, value)| value.as_str()).collect()
    }

    fn series(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(name, value)| sample.labels.iter().any(|(n, v)| n == name && v == value))
        })
    }

    pub fn parse(text: &str) -> Result<Metrics, String> {
        if !text.ends_with('\n') {
            return Err("the last line has no end".to_owned());
        }
        let mut kinds: HashMap<String, String> = HashMap::new();
        let mut seen = HashSet::new();
        let mut samples = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let wrong = |what: &str| format!("line {}: {what}: {line}", number + 1);
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or_else(|| wrong("no type"))?;
                if !["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind) {
                    return Err(wrong("unknown type"));
                }
                if kinds.insert(name.to_owned(), kind.to_owned()).is_some() {
                    return Err(wrong("typed twice"));
                }
                continue;
            }
            if line.starts_with('#') || line.is_empty() {
                continue;
            }
            let sample = parse_sample(line).ok_or_else(|| wrong("not a sample"))?;
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .filter_map(|suffix| sample.name.strip_suffix(suffix))
                .find(|family| kinds.get(*family).is_some_and(|kind| kind == "histogram"))
                .unwrap_or(&sample.name);
            if !kinds.contains_key(family) {
                return Err(wrong("no TYPE before it"));
            }
            let mut labels = sample.labels.clone();
            labels.sort();
            if !seen.insert((sample.name.clone(), labels)) {
                return Err(wrong("the series is there twice"));
            }
            samples.push(sample);
        }
        Ok(Metrics { samples })
    }
}

fn parse_sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let first = name.chars().next()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    if first.is_ascii_digit() || !name.chars().all(plain) {
        return None;
    }
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let mut value = String::new();
            let mut chars = after.char_indices();
            let close = loop {
                match chars.next()? {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match chars.next()?.1 {
                        'n' => '\n',
                        other @ ('\\' | '"') => other,
                        _ => return None,
                    }),
                    (_, other) => value.push(other),
                }
            };
            labels.push((label.trim_start_matches([',', ' ']).to_owned(), value));
            rest = &after[close + 1..];
        }
        rest = &rest[1..];
    }
    let value = rest.trim_start().split(' ').next()?;
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        other => other.parse().ok()?,
    };
    Some(Sample { name: name.to_owned(), labels, value })
}

#[test]
fn a_sample_is_found_by_its_labels() {
    let text = "# HELP a help\n# TYPE a counter\na{x=\"1\",y=\"q\\\"\"} 2\na{x=\"2\",y=\"\"} 3\n";
    let metrics = Metrics::parse(text).unwrap();
    assert_eq!(metrics.value("a", &[]), 5.0);
    assert_eq!(metrics.value("a", &[("y", "q\"")]), 2.0);
    assert!(Metrics::parse("a 1\n").is_err(), "no TYPE");
    assert!(Metrics::parse("# TYPE a counter\na 1\na 2\n").is_err(), "twice");
}
