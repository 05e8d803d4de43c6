//! Chains as plain data, for what is kept over a restart.
//!
//! What a chain refers to of its document goes with it, since the document may be another by then.

use std::sync::{Arc, Weak};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::carried::{Carried, Place, Values};
use super::expression::{Error, Url};
use super::{Chain, Fields, Kept, LONGEST, Payload, Plan, Planned, Unresolved, scheme};
use crate::mock::media::MediaType;
use crate::mock::reply::Content;
use crate::mock::template::{self, Template};
use crate::spec::document::StatusPattern;

/// A chain, as another process can send it. Times are milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    operation: String,
    plans: Vec<SavedPlan>,
    calls: Vec<SavedCall>,
    exchange: SavedExchange,
}

/// Why a chain can't be had back.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("{0}")]
    Expression(#[from] Error),
    #[error("{0} is none")]
    Nothing(&'static str),
}

/// What a call is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedPlan {
    callback: String,
    method: String,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    retry: Option<Vec<u64>>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    statuses: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    carried: Vec<SavedCarried>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    payload: Option<SavedPayload>,
}

/// A parameter with its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SavedCarried {
    Header(String, template::saved::Saved),
    Query(template::saved::Saved),
    Cookie(template::saved::Saved),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedPayload {
    media: String,
    body: SavedContent,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SavedContent {
    Bytes(Octets),
    Template(template::saved::Saved),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedCall {
    plan: usize,
    #[serde(flatten)]
    target: Target,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Target {
    Target(String),
    Unresolved { expression: String, reason: String },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedExchange {
    method: String,
    scheme: String,
    authority: String,
    path: String,
    query: Option<String>,
    base: usize,
    params: Vec<(String, String)>,
    headers: Vec<(String, Octets)>,
    body: Octets,
    status: u16,
    response_headers: Vec<(String, Octets)>,
    response_body: Octets,
}

/// Bytes: as text if they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Octets {
    Text(String),
    Other { base64: String },
}

impl Chain {
    pub fn save(&self) -> Saved {
        let mut plans: Vec<SavedPlan> = Vec::new();
        let mut last: Option<&Arc<Plan>> = None;
        let calls = self.calls.iter().map(|planned| {
            // Calls of one plan stand together, with one payload.
            if !last.is_some_and(|last| Arc::ptr_eq(last, &planned.plan)) {
                plans.push(SavedPlan::of(planned, self.example.as_deref()));
            }
            last = Some(&planned.plan);
            let target = match &planned.target {
                Ok(url) => Target::Target(url.to_string()),
                Err(Unresolved { expression, reason }) => {
                    Target::Unresolved { expression: expression.clone(), reason: reason.clone().into_owned() }
                }
            };
            SavedCall { plan: plans.len() - 1, target }
        });
        let calls = calls.collect();
        Saved { operation: self.operation.to_string(), plans, calls, exchange: SavedExchange::of(&self.kept) }
    }

    /// The chain that was saved.
    ///
    /// # Errors
    ///
    /// What of it this version does not know, or what is no chain of any.
    pub fn restore(saved: Saved) -> Result<Chain, Broken> {
        if saved.calls.is_empty() || saved.calls.len() > LONGEST {
            return Err(Broken::Nothing("its number of calls"));
        }
        let plans: Vec<Arc<Plan>> =
            saved.plans.into_iter().map(|plan| plan.restore().map(Arc::new)).collect::<Result<_, _>>()?;
        let calls = saved.calls.into_iter().map(|call| {
            let plan = plans.get(call.plan).ok_or(Broken::Nothing("the plan of a call"))?;
            let target = match call.target {
                Target::Target(url) => Ok(url.into()),
                Target::Unresolved { expression, reason } => {
                    Err(Unresolved { expression, reason: reason.into() })
                }
            };
            let payload = (!plan.payloads.is_empty()).then_some(0);
            let (dynamic, plan) = (plan.url.is_dynamic(), plan.clone());
            Ok(Planned { wait: None, target, dynamic, plan, payload, instance: None, receiver: Weak::new() })
        });
        let calls: Vec<Planned> = calls.collect::<Result<_, Broken>>()?;
        let kept = Arc::new(saved.exchange.restore()?);
        // Of its plans only what goes with the answer's example was saved.
        let (operation, calls, left_out) = (saved.operation.into(), calls.into(), Box::default());
        Ok(Chain { operation, calls, left_out, example: None, kept })
    }
}

impl SavedPlan {
    fn of(planned: &Planned, example: Option<&str>) -> Self {
        let plan = &planned.plan;
        let carried = planned.carried(example).map(|(place, template)| match place {
            Place::Header(name) => SavedCarried::Header(name.to_string(), template.save()),
            Place::Query => SavedCarried::Query(template.save()),
            Place::Cookie => SavedCarried::Cookie(template.save()),
        });
        SavedPlan {
            callback: plan.name.to_string(),
            method: plan.method.to_string(),
            url: plan.url.key(),
            retry: plan.retry.as_ref().map(|waits| waits.iter().map(millis).collect()),
            statuses: plan.statuses.iter().map(ToString::to_string).collect(),
            carried: carried.collect(),
            payload: planned.content().map(|Payload { media, body, .. }| {
                let body = match body {
                    Content::Bytes(bytes) => SavedContent::Bytes(Octets::of(bytes)),
                    Content::Template(template) => SavedContent::Template(template.save()),
                    Content::Unwritable(_) => SavedContent::Bytes(Octets::of(&[])),
                };
                SavedPayload { media: media.as_str().to_owned(), body }
            }),
        }
    }

    fn restore(self) -> Result<Plan, Broken> {
        let carried = self.carried.into_iter().map(|carried| {
            let (place, template) = match carried {
                SavedCarried::Header(name, template) => {
                    let name = HeaderName::try_from(name).map_err(|_| Broken::Nothing("a header's name"))?;
                    (Place::Header(name), template)
                }
                SavedCarried::Query(template) => (Place::Query, template),
                SavedCarried::Cookie(template) => (Place::Cookie, template),
            };
            let values: Box<[_]> = Box::new([(None, Values::from([Template::restore(template)?]))]);
            Ok(Carried { place, values })
        });
        let statuses = self.statuses.iter().map(|text| StatusPattern::parse(text));
        let payload = self.payload.map(|SavedPayload { media, body }| {
            let media = MediaType::parse(&media).ok_or(Broken::Nothing("a media type"))?;
            let body = match body {
                SavedContent::Bytes(octets) => Content::Bytes(octets.bytes()?),
                SavedContent::Template(template) => Content::Template(Template::restore(template)?.into()),
            };
            Ok::<_, Broken>(Payload { example: None, media, body })
        });
        Ok(Plan {
            name: self.callback.into(),
            method: method(&self.method)?,
            url: Url::parse(&self.url)?,
            wait: None,
            retry: self.retry.map(|waits| waits.into_iter().map(Duration::from_millis).collect()),
            when: None,
            repeat: None,
            statuses: statuses.collect::<Option<_>>().ok_or(Broken::Nothing("a status"))?,
            names: Box::default(),
            payloads: payload.transpose()?.into_iter().collect(),
            carried: carried.collect::<Result<_, Broken>>()?,
        })
    }
}

impl SavedExchange {
    fn of(kept: &Kept) -> Self {
        SavedExchange {
            method: kept.method.to_string(),
            scheme: kept.scheme.to_string(),
            authority: kept.authority.to_string(),
            path: kept.path.to_string(),
            query: kept.query.as_deref().map(str::to_owned),
            base: kept.base,
            params: kept.params.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            headers: fields(kept.headers.as_deref()),
            body: Octets::of(&kept.body),
            status: kept.status.as_u16(),
            response_headers: fields(kept.response_headers.as_deref()),
            response_body: Octets::of(&kept.response_body),
        }
    }

    fn restore(self) -> Result<Kept, Broken> {
        let base = self.base.min(self.path.len());
        if !self.path.is_char_boundary(base) {
            return Err(Broken::Nothing("the base path"));
        }
        Ok(Kept {
            method: method(&self.method)?,
            path: self.path.into(),
            query: self.query.map(Into::into),
            headers: header_map(self.headers)?,
            scheme: scheme(&self.scheme),
            authority: self.authority.into(),
            base,
            params: self.params.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            body: self.body.bytes()?,
            status: StatusCode::from_u16(self.status).map_err(|_| Broken::Nothing("the status"))?,
            response_headers: header_map(self.response_headers)?,
            response_body: self.response_body.bytes()?,
        })
    }
}

impl Octets {
    fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Octets::Text(text.to_owned()),
            Err(_) => Octets::Other { base64: STANDARD.encode(bytes) },
        }
    }

    fn bytes(self) -> Result<Bytes, Broken> {
        match self {
            Octets::Text(text) => Ok(text.into()),
            Octets::Other { base64 } => {
                STANDARD.decode(base64).map(Bytes::from).map_err(|_| Broken::Nothing("a base64 text"))
            }
        }
    }
}

fn fields(headers: Option<&HeaderMap>) -> Vec<(String, Octets)> {
    let headers = headers.into_iter().flat_map(HeaderMap::iter);
    headers.map(|(name, value)| (name.to_string(), Octets::of(value.as_bytes()))).collect()
}

fn header_map(fields: Vec<(String, Octets)>) -> Result<Fields, Broken> {
    if fields.is_empty() {
        return Ok(None);
    }
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::try_from(name).map_err(|_| Broken::Nothing("a header's name"))?;
        let value =
            HeaderValue::from_bytes(&value.bytes()?).map_err(|_| Broken::Nothing("a header's value"))?;
        headers.try_append(name, value).map_err(|_| Broken::Nothing("the number of headers"))?;
    }
    Ok(Some(Box::new(headers)))
}

fn method(text: &str) -> Result<Method, Broken> {
    Method::from_bytes(text.as_bytes()).map_err(|_| Broken::Nothing("a method"))
}

fn millis(duration: &Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Callback;
    use super::*;
    use crate::mock::message::Moment;
    use crate::mock::template::Form;
    use crate::mock::template::sample::Sample;

    fn callback(url: &str, body: Content) -> Callback {
        let media = MediaType::parse("application/json").unwrap();
        let carried = |place, text| {
            let parsed = |text| Values::from([Template::parse(text, Form::Header).unwrap()]);
            Carried {
                place,
                values: [(None, parsed(text)), (Some("ann".into()), parsed("{{uuid()}}"))].into(),
            }
        };
        let plan = Plan {
            name: "onCreated".into(),
            method: Method::POST,
            url: Url::parse(url).unwrap(),
            wait: None,
            retry: Some([Duration::from_secs(3)].into()),
            when: None,
            repeat: None,
            statuses: [StatusPattern::Code(204), StatusPattern::Range(3), StatusPattern::Default].into(),
            names: Box::default(),
            payloads: [Payload { example: None, media, body }].into(),
            carried: [
                carried(
                    Place::Header(HeaderName::from_static("x-of")),
                    "{{request.headers[x-a]}} {{uuid()}}",
                ),
                carried(Place::Query, "q={{request.headers[x-a]}}"),
                carried(Place::Cookie, "c=1"),
            ]
            .into(),
        };
        Callback { plan: Arc::new(plan), instance: None, receiver: None }
    }

    fn template(text: &str) -> Content {
        Template::parse(text, Form::Json).unwrap().into()
    }

    #[track_caller]
    fn check(url: &str, body: Content) {
        let sample = Sample::request(&b"{\"url\": \"http://a.test/\", \"raw\": \"\xff\"}"[..]);
        let sample = sample.header("x-a", "1").response(201, "{\"id\": 7}").response_header("x-b", "2");
        let params = sample.params();
        let plans = [callback(url, body), callback("http://b.test/{$request.query.none}", template("{}"))];
        let chain = super::super::chain(&"create".into(), &plans, None, &sample.context(&params)).unwrap();
        let saved = serde_json::to_string(&chain.save()).unwrap();
        let restored = Chain::restore(serde_json::from_str(&saved).unwrap()).unwrap();
        let moment = Moment { now: 1_700_000_000_000, seed: 5 };
        for index in 0..2 {
            assert_eq!(restored.render(index, moment), chain.render(index, moment), "{saved}");
            assert_eq!(restored.calls[index].target, chain.calls[index].target);
            assert_eq!(restored.calls[index].retry(), chain.calls[index].retry());
            for status in [200, 204, 307] {
                assert_eq!(restored.calls[index].describes(status), chain.calls[index].describes(status));
            }
        }
        assert_eq!(restored.save(), chain.save());
    }

    #[test]
    fn what_is_restored_renders_the_same() {
        let body = template(
            "{\"id\": {{response.body/id}}, \"at\": \"{{now()}}\", \"x\": \"{{response.headers[x-b]}}\"}",
        );
        check("http://a.test/{$request.query.none}", body);
        check("$url", template("[]"));
        check("{$url}/a?b={$method}&c={$statusCode}", template("\"{{request.body}}\""));
        check(
            "http://a.test/{{uuid()}}/{{request.body/url}}",
            Content::Bytes(Bytes::from_static(b"\x00\xff")),
        );
    }

    #[test]
    fn what_no_version_wrote_is_an_error() {
        let sample = Sample::request("{}").response(201, "");
        let params = sample.params();
        let plans = [callback("http://a.test/", template("{}"))];
        let chain = super::super::chain(&"create".into(), &plans, None, &sample.context(&params)).unwrap();
        let whole = serde_json::to_value(chain.save()).unwrap();
        let broken = [
            ("/calls", serde_json::json!([])),
            ("/calls/0/plan", 1.into()),
            ("/plans/0/method", "A B".into()),
            ("/plans/0/url", "{".into()),
            ("/plans/0/statuses", serde_json::json!(["2"])),
            ("/plans/0/payload/media", "json".into()),
            ("/exchange/status", 7.into()),
            ("/exchange/body", serde_json::json!({"base64": "?"})),
        ];
        for (at, value) in broken {
            let mut saved = whole.clone();
            *saved.pointer_mut(at).unwrap() = value;
            Chain::restore(serde_json::from_value(saved).unwrap()).expect_err(at);
        }
    }
}
