//! `{{ }}`: parsed from any text, rendered for any request.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value as Json;
use standin::mock::message::{Body, Context, Head, Moment, Request, Response};
use standin::mock::template::{Builder, Form, Template};

/// Stands between a template and what the request says.
pub const THEN: char = '\u{1}';

/// Parsing ends with a template or an error within the text; rendering comes to the same each time; no
/// header gets a control character, and JSON stays JSON, whatever a request says.
pub fn holds(text: &str) {
    let (template, said) = text.split_once(THEN).unwrap_or((text, "\"\\\n{{ uuid() }}"));
    for form in [Form::Text, Form::Json, Form::Header] {
        match Template::parse(template, form) {
            Ok(parsed) => {
                let rendered = with(said, |context| (parsed.text(context), parsed.text(context)));
                assert_eq!(rendered.0, rendered.1);
                let controls = rendered.0.chars().any(char::is_control);
                assert!(form != Form::Header || !controls, "a control character: {:?}", rendered.0);
            }
            Err(error) => assert!(error.offset <= template.len(), "{error:?}"),
        }
    }
    let mut builder = Builder::new();
    builder.literal("{\"a\":\"");
    // What does not parse stands as it is, and that is JSON as well.
    let _ = builder.string(template);
    builder.literal("\"}");
    stays_json(&builder.finish(), said);
    if let Ok(parsed) = Template::parse(&Json::from(template).to_string(), Form::Json) {
        stays_json(&parsed, said);
    }
}

/// An expression where a JSON value may stand.
pub fn bare(expression: &str, said: &str) {
    if let Ok(parsed) = Template::parse(&format!("[{{{{{expression}}}}}]"), Form::Json) {
        stays_json(&parsed, said);
    }
}

fn stays_json(template: &Template, said: &str) {
    let rendered = with(said, |context| template.text(context));
    let read = serde_json::from_str::<Json>(&rendered);
    assert!(read.is_ok(), "{read:?}: {rendered}");
}

/// A request, and an answer to it, that say one thing wherever they can.
fn with<T>(said: &str, then: impl FnOnce(&Context<'_>) -> T) -> T {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(said.as_bytes()) {
        headers.insert("x-a", value.clone());
        headers.insert("cookie", value);
    }
    let body = Body::new(Bytes::copy_from_slice(said.as_bytes()));
    let json =
        Body::new(serde_json::json!({ "a": said, "b": [said, 1, null, { said: said }] }).to_string().into());
    let params = [("a", Cow::Borrowed(said))];
    let head = Head {
        method: &Method::POST,
        path: "/a/b",
        query: Some(said),
        headers: &headers,
        scheme: "http",
        authority: "api.test",
    };
    let request = Request { head, base: 0, params: &params, body: &json };
    let response = Response { status: StatusCode::OK, headers: &headers, body: &body };
    then(&Context { request, response: Some(response), moment: Moment { now: 1_735_787_045_678, seed: 7 } })
}
