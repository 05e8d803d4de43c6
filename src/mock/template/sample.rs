//! An exchange to test with.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::mock::message::{Body, Context, Head, Moment, Request, Response};

pub(in crate::mock) struct Sample {
    pub path: String,
    pub query: Option<String>,
    pub authority: String,
    pub base: usize,
    pub params: Vec<(&'static str, String)>,
    pub method: Method,
    pub headers: HeaderMap,
    pub body: Body,
    pub moment: Moment,
    pub response: Option<(StatusCode, HeaderMap, Body)>,
}

impl Sample {
    pub fn request(body: impl Into<Bytes>) -> Self {
        Sample {
            path: "/".into(),
            query: None,
            authority: "example.org".into(),
            base: 0,
            params: Vec::new(),
            method: Method::POST,
            headers: HeaderMap::new(),
            body: Body::new(body.into()),
            // 2020-02-11T13:48:12.309Z.
            moment: Moment { now: 1_581_428_892_309, seed: 7 },
            response: None,
        }
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("the value is one");
        self.headers.append(HeaderName::from_static(name), value);
        self
    }

    pub fn response(mut self, status: u16, body: &'static str) -> Self {
        let status = StatusCode::from_u16(status).expect("the status is one");
        self.response = Some((status, HeaderMap::new(), Body::new(body.into())));
        self
    }

    pub fn response_header(mut self, name: &'static str, value: &'static str) -> Self {
        if let Some((_, headers, _)) = &mut self.response {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        self
    }

    pub fn params(&self) -> Vec<(&str, Cow<'_, str>)> {
        self.params.iter().map(|(name, value)| (*name, value.as_str().into())).collect()
    }

    pub fn context<'s>(&'s self, params: &'s [(&'s str, Cow<'s, str>)]) -> Context<'s> {
        let head = Head {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
            scheme: "https",
            authority: &self.authority,
        };
        let response = self.response.as_ref();
        Context {
            request: Request { head, base: self.base, params, body: &self.body },
            response: response.map(|(status, headers, body)| Response { status: *status, headers, body }),
            moment: self.moment,
        }
    }
}
