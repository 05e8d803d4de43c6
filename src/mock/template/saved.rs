//! Templates as plain data, for what is kept over a restart: the document may be another by then.

use serde::{Deserialize, Serialize};

use super::{Error, Expression, Part, Template};
use crate::mock::sink::Place;

/// A template, as another process can render it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    parts: Vec<SavedPart>,
    salt: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum SavedPart {
    Literal(String),
    /// With its braces.
    Expression {
        source: String,
        place: Place,
    },
}

impl Template {
    pub fn save(&self) -> Saved {
        let parts = self.parts.iter().map(|part| match part {
            Part::Literal(text) => SavedPart::Literal(text.clone()),
            Part::Expression(expression, place) => {
                SavedPart::Expression { source: expression.source().to_owned(), place: *place }
            }
        });
        Saved { parts: parts.collect(), salt: self.salt }
    }

    /// The template that was saved; it renders the same bytes.
    ///
    /// # Errors
    ///
    /// An expression that this version does not know.
    pub fn restore(saved: Saved) -> Result<Template, Error> {
        let parts = saved.parts.into_iter().map(|part| match part {
            SavedPart::Literal(text) => Ok(Part::Literal(text)),
            SavedPart::Expression { source, place } if source.starts_with("{{") => {
                Expression::parse(&source, 0).map(|(expression, _)| Part::Expression(expression, place))
            }
            SavedPart::Expression { .. } => Err(Error::new(0, "an expression without `{{`")),
        });
        Ok(Template { parts: parts.collect::<Result<_, _>>()?, salt: saved.salt })
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::super::{Builder, Form};
    use super::*;

    #[track_caller]
    fn check(template: &Template) {
        let saved = serde_json::to_string(&template.save()).unwrap();
        let restored = Template::restore(serde_json::from_str(&saved).unwrap()).unwrap();
        let sample = Sample::request("{\"a\": 1}");
        let params = sample.params();
        let exchange = sample.context(&params);
        assert_eq!(restored.text(&exchange), template.text(&exchange), "{saved}");
        assert_eq!(restored.save(), template.save());
    }

    #[test]
    fn what_is_restored_renders_the_same() {
        let texts = [
            "",
            "plain",
            "{{{uuid()}}}",
            "{{ request.body/a || 'x\"}}' }} {{now(dd/MM, 1M)}} {{randomInt()}}",
        ];
        for text in texts {
            for form in [Form::Text, Form::Json, Form::Header] {
                check(&Template::parse(text, form).unwrap());
            }
        }
        let places = [
            Place::Element,
            Place::Attribute,
            Place::Cdata,
            Place::Pair,
            Place::QuotedPair,
            Place::Part,
            Place::Component,
            Place::QuotedComponent,
            Place::Written,
        ];
        for place in places {
            let mut builder = Builder::new();
            builder.literal("<");
            builder.text("&{{randomValue('<', '&', '\"')}}\"", place).unwrap();
            check(&builder.finish());
        }
    }

    #[test]
    fn what_no_version_wrote_is_an_error() {
        for source in ["", "x", "{{", "{{nothing()}}", "{{uuid()"] {
            let part = SavedPart::Expression { source: source.to_owned(), place: Place::Bare };
            Template::restore(Saved { parts: vec![part], salt: 0 }).unwrap_err();
        }
    }
}
