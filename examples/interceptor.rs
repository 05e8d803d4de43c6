//! Standin in a pingora proxy of one's own: this one sends what no document lists to the first of
//! two upstreams, or to the second if the client asks for `x-beta`.
//!
//! ```text
//! cargo run --example interceptor -- 127.0.0.1:8080 openapi.yaml 127.0.0.1:9000 127.0.0.1:9001
//! ```

use std::net::SocketAddr;
use std::path::Path;

use async_trait::async_trait;
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::{Error, HttpPeer, ProxyHttp, Server, Session};
use pingora::proxy::{FailToProxy, http_proxy_service};
use pingora::services::background::background_service;
use standin::config::{self, Config, Spec};
use standin::{Ctx, Interceptor};

struct Gateway {
    interceptor: Interceptor,
    stable: SocketAddr,
    beta: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Gateway {
    // A context of one's own has it as a field.
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        self.interceptor.new_ctx()
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        self.interceptor.request_filter(session, ctx).await
    }

    async fn upstream_peer(&self, session: &mut Session, _ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
        let beta = session.req_header().headers.contains_key("x-beta");
        let address = if beta { self.beta } else { self.stable };
        Ok(Box::new(HttpPeer::new(address, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        self.interceptor.upstream_request_filter(request, ctx)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        self.interceptor.upstream_response_filter(session, response, ctx).await
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Ctx) -> FailToProxy {
        if let Some(done) = self.interceptor.fail_to_proxy(session, error, ctx).await {
            return done;
        }
        let _ = session.respond_error(502).await;
        FailToProxy { error_code: 502, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, ctx: &mut Ctx) {
        self.interceptor.logging(session, ctx).await;
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, document, stable, beta] = arguments.as_slice() else {
        return Err("usage: interceptor LISTEN DOCUMENT STABLE BETA".into());
    };
    let source = config::source(document, &std::env::current_dir()?)?;
    let config = Config { specs: vec![Spec::new(source)], ..Config::default() };
    let interceptor = Interceptor::from_config(config)?;

    let mut server = Server::new(None)?;
    server.bootstrap();
    server.add_service(background_service("standin", interceptor.service()));
    let gateway = Gateway { interceptor, stable: stable.parse()?, beta: beta.parse()? };
    let mut service = http_proxy_service(&server.configuration, gateway);
    match listen.strip_prefix("unix:") {
        Some(path) if Path::new(path).is_absolute() => service.add_uds(path, None),
        _ => service.add_tcp(listen),
    }
    server.add_service(service);
    server.run_forever()
}
