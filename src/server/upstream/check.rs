//! Asks the places of an upstream, again and again, whether they are well.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use http::Version;
use http::header::{ACCEPT, HOST, USER_AGENT};
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::Peer as _;
use tokio::task::JoinSet;

use super::peer::Place;
use super::tls;
use super::turn::Check;
use super::{Upstream, tell};
use crate::config::Health;

/// A server has so long for the head of its answer, once it is connected to.
const ANSWER: Duration = Duration::from_secs(5);

/// Asks until nobody holds the upstream any longer. All places at once, then a pause.
pub async fn keep_checked(upstream: Weak<Upstream>, health: Health) {
    loop {
        let Some(upstream) = upstream.upgrade() else { return };
        round(&upstream, &health).await;
        drop(upstream);
        tokio::time::sleep(health.interval).await;
    }
}

async fn round(upstream: &Arc<Upstream>, health: &Health) {
    let mut asked = JoinSet::new();
    for place in upstream.places.current().iter() {
        let (upstream, place, path) = (upstream.clone(), place.clone(), health.path.clone());
        asked.spawn(async move {
            let within = upstream.config.connect_timeout + ANSWER;
            let asked = tokio::time::timeout(within, ask(&place, &path)).await;
            let check = match asked {
                Ok(Ok(200..=399)) => Check::Passed,
                _ => Check::Failed,
            };
            if check == Check::Passed {
                // It took the connection.
                tell(&upstream, &place, place.health.answered());
            }
            tell(&upstream, &place, place.health.checked(check));
        });
    }
    while asked.join_next().await.is_some() {}
}

/// The status that a place answers with.
async fn ask(place: &Place, path: &str) -> pingora::Result<u16> {
    let peer = place.peer_of_a_check();
    let (mut session, _) = connector().get_http_session(&peer).await?;
    let mut request = RequestHeader::build("GET", path.as_bytes(), None)?;
    request.insert_header(HOST, place.authority.as_str())?;
    request.insert_header(USER_AGENT, "standin")?;
    request.insert_header(ACCEPT, "*/*")?;
    match &session {
        HttpSession::H2(_) => {
            let scheme = if peer.tls() { "https" } else { "http" };
            let target = format!("{scheme}://{}{path}", place.authority).parse();
            request.remove_header(&HOST);
            request.set_version(Version::HTTP_2);
            request.set_uri(target.map_err(|_| invalid())?);
        }
        _ => request.insert_header(http::header::CONNECTION, "close")?,
    }
    session.write_request_header(Box::new(request)).await?;
    session.finish_request_body().await?;
    loop {
        session.read_response_header().await?;
        let status = session.response_header().map(|response| response.status);
        match status {
            Some(status) if status.is_informational() => {}
            Some(status) => return Ok(status.as_u16()),
            None => return Err(invalid()),
        }
    }
}

fn invalid() -> Box<pingora::Error> {
    pingora::Error::new(pingora::ErrorType::InvalidHTTPHeader)
}

/// What connects for checks: as traffic does, made when the first check needs it.
fn connector() -> &'static Connector {
    static CONNECTOR: OnceLock<Connector> = OnceLock::new();
    CONNECTOR.get_or_init(|| {
        let mut options = ConnectorOptions::new(1);
        options.ca_file = tls::instead_of_the_system_s();
        Connector::new(Some(options))
    })
}
