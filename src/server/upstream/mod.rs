//! An upstream's servers: where they are, how they are, and whose turn it is.
//!
//! A place is one address of one server. Names are looked up in the background, and places are asked
//! whether they are well in the background too; a request only reads what is known.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pingora::prelude::{Error, ErrorType, HttpPeer, Session};
use tokio::task::{JoinHandle, JoinSet};

use super::live::Cell;
use crate::config::{self, Server, ServerAddress};
use peer::{At, Place};
use tls::Tls;
use turn::Change;

mod check;

mod peer;

mod turn;

mod duplex;

pub mod tls;

/// Names are looked up again this often, since containers move.
const RESOLVE_AGAIN: Duration = Duration::from_secs(5);

/// Places of an upstream that are used: a bit each.
const PLACES: usize = u64::BITS as usize;

#[derive(Debug)]
pub struct Upstream {
    pub name: String,
    pub config: config::Upstream,
    tls: Tls,
    /// Keeps its connections apart from those of others.
    key: u64,
    /// By the number of a server, where it was found last.
    found: Mutex<Vec<Vec<At>>>,
    /// At most [`PLACES`].
    places: Cell<Vec<Arc<Place>>>,
    next: AtomicUsize,
    /// Where its clock begins.
    begun: Instant,
}

impl Upstream {
    /// Looks its names up, and asks its servers whether they are well, in the background for as long
    /// as someone holds it. The second value ends when each name was looked up once.
    pub fn start(name: &str, config: &config::Upstream, tls: Tls) -> (Arc<Upstream>, JoinHandle<()>) {
        let upstream = Arc::new(Upstream::new(name, config, tls));
        let mut lookups = JoinSet::new();
        for (number, server) in config.servers.iter().enumerate() {
            match at_once(server) {
                Some(at) => upstream.is_at(number, vec![at]),
                None => _ = lookups.spawn(first_lookup(Arc::downgrade(&upstream), number)),
            }
        }
        if let Some(health) = config.health.clone() {
            tokio::spawn(check::keep_checked(Arc::downgrade(&upstream), health));
        }
        (upstream, tokio::spawn(async move { while lookups.join_next().await.is_some() {} }))
    }

    /// One that reaches nothing, in the place of one that can't be made.
    pub fn closed(name: &str, config: &config::Upstream) -> Arc<Upstream> {
        Arc::new(Upstream::new(name, config, Tls::default()))
    }

    fn new(name: &str, config: &config::Upstream, tls: Tls) -> Upstream {
        Upstream {
            name: name.to_owned(),
            config: config.clone(),
            tls,
            key: peer::fresh_key(),
            found: Mutex::new(vec![Vec::new(); config.servers.len()]),
            places: Cell::new(Vec::new()),
            next: AtomicUsize::new(0),
            begun: Instant::now(),
        }
    }

    /// Whether it is what a config and its files say.
    pub fn is_as(&self, config: &config::Upstream, tls: &Tls) -> bool {
        self.config == *config && self.tls == *tls
    }

    /// Each server, as the config writes it, and whether one of its places gets turns.
    pub fn servers(&self) -> Vec<(String, bool)> {
        let (now, places) = (self.now(), self.places.current());
        let good = |number| places.iter().any(|place| place.server == number && place.health.is_good(now));
        let servers = self.config.servers.iter().enumerate();
        servers.map(|(number, server)| (server.to_string(), good(number))).collect()
    }

    /// Milliseconds of its own clock, from 1.
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX / 2).saturating_add(1)
    }

    /// Takes what a look-up found. Places that are there already stay as they are.
    fn is_at(&self, server: usize, mut at: Vec<At>) {
        at.dedup();
        let mut found = self.found.lock();
        if found.get(server).is_none_or(|before| *before == at) {
            return;
        }
        found[server] = at;
        let before = self.places.current();
        let known =
            |server, at: &At| before.iter().find(|place| place.server == server && place.at == *at).cloned();
        let new =
            |server, at: &At| Place::new(server, at.clone(), &self.config, &self.tls, self.key).map(Arc::new);
        let places = in_turns(&found).into_iter();
        let places = places.filter_map(|(server, at)| known(server, at).or_else(|| new(server, at)));
        self.places.swap(places.collect());
    }
}

/// Where a server is, if that needs no resolver.
fn at_once(server: &Server) -> Option<At> {
    match &server.at {
        ServerAddress::Tcp { host, port } => {
            host.parse::<IpAddr>().ok().map(|ip| At::Socket(SocketAddr::new(ip, *port)))
        }
        ServerAddress::Unix(path) => Some(At::Unix(path.clone())),
    }
}

/// The first of each server, then the second of each, and no more than there is room for.
fn in_turns(found: &[Vec<At>]) -> Vec<(usize, &At)> {
    let longest = found.iter().map(Vec::len).max().unwrap_or(0);
    let round = |round| {
        let servers = found.iter().enumerate();
        servers.filter_map(move |(server, at)| Some((server, at.get(round)?)))
    };
    (0..longest).flat_map(round).take(PLACES).collect()
}

/// The first look-up of a server's name, after which a task of its own keeps at it.
async fn first_lookup(upstream: Weak<Upstream>, server: usize) {
    let before = look_up(&upstream, server, Resolved::Yes).await;
    tokio::spawn(async move {
        let mut before = before;
        while let Some(resolved) = before {
            tokio::time::sleep(RESOLVE_AGAIN).await;
            before = look_up(&upstream, server, resolved).await;
        }
    });
}

/// Whether a name resolved, so that a change is logged once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resolved {
    Yes,
    No,
}

/// None: nobody holds the upstream any longer.
async fn look_up(upstream: &Weak<Upstream>, server: usize, before: Resolved) -> Option<Resolved> {
    let (host, port) = match &upstream.upgrade()?.config.servers.get(server)?.at {
        ServerAddress::Tcp { host, port } => (host.clone(), *port),
        ServerAddress::Unix(_) => return None,
    };
    // Nobody is held while a resolver takes its time.
    let found = tokio::net::lookup_host((host.as_str(), port)).await;
    let upstream = upstream.upgrade()?;
    let error = match found.map(Iterator::collect::<Vec<_>>) {
        Ok(mut sockets) if !sockets.is_empty() => {
            // Resolvers give them in any order; the turns are ours.
            sockets.sort_unstable();
            upstream.is_at(server, sockets.into_iter().map(At::Socket).collect());
            if before == Resolved::No {
                tracing::info!(upstream = upstream.name, host, "upstream name resolves again");
            }
            return Some(Resolved::Yes);
        }
        Ok(_) => "it has no address".to_owned(),
        Err(error) => error.to_string(),
    };
    // Its last addresses stay.
    if before == Resolved::Yes {
        tracing::warn!(upstream = upstream.name, host, error, "upstream name does not resolve");
    }
    Some(Resolved::No)
}

/// The places that one request tries, each at most once.
pub struct Tries {
    upstream: Arc<Upstream>,
    /// Those that there were when it began.
    places: Arc<Vec<Arc<Place>>>,
    turn: usize,
    /// A bit for each place that took no connection.
    refused: u64,
    /// Where it was sent to last.
    at: Option<usize>,
    /// Whether a connection that was there already failed before anything was sent.
    stale: bool,
}

impl Tries {
    pub fn of(upstream: Arc<Upstream>) -> Tries {
        let (places, turn) = (upstream.places.current(), upstream.next.fetch_add(1, Ordering::Relaxed));
        Tries { upstream, places, turn, refused: 0, at: None, stale: false }
    }

    /// Where to connect to now.
    ///
    /// # Errors
    ///
    /// No name of the upstream has ever resolved, or each place was tried.
    pub fn peer(&mut self, session: &mut Session) -> pingora::Result<Box<HttpPeer>> {
        self.at = self.next();
        let Some(place) = self.place() else {
            return Error::e_explain(ErrorType::ConnectNoRoute, "none of the upstream's names resolves")
                .map_err(Error::into_up);
        };
        Ok(place.peer(session))
    }

    /// The `Host` of the server that it was sent to last.
    pub fn authority(&self) -> Option<&str> {
        self.place().map(|place| place.authority.as_str())
    }

    /// Before a connection is there nothing was sent, so that any request may try the next place.
    pub fn refused(&mut self, error: &mut Error) {
        if *error.etype() == ErrorType::InternalError {
            // Without a socket (no more descriptors, say) there is no connection either.
            error.etype = ErrorType::ConnectError;
        }
        if *error.etype() == ErrorType::H2Error && !self.stale {
            // A shared connection that ended this moment; another one may well be made.
            self.stale = true;
            error.set_retry(true);
            return;
        }
        if let (Some(at), Some(place)) = (self.at, self.place()) {
            tell(&self.upstream, place, place.health.refused(self.upstream.now()));
            self.refused |= 1 << at;
        }
        error.set_retry(self.left() != 0);
    }

    /// The place that it was sent to is there.
    pub fn answered(&self) {
        if let Some(place) = self.place() {
            tell(&self.upstream, place, place.health.answered());
        }
    }

    fn place(&self) -> Option<&Arc<Place>> {
        self.at.and_then(|at| self.places.get(at))
    }

    /// Those not yet tried.
    fn left(&self) -> u64 {
        let all = u64::MAX.checked_shr((PLACES - self.places.len().min(PLACES)) as u32).unwrap_or(0);
        all & !self.refused
    }

    /// The one whose turn it is of those that are well; of all, if none is: a try may succeed, and to
    /// refuse can't.
    fn next(&self) -> Option<usize> {
        let (now, left) = (self.upstream.now(), self.left());
        let is_good = |at: usize| self.places.get(at).is_some_and(|place| place.health.is_good(now));
        let takes = |at: usize| self.places.get(at).is_some_and(|place| place.health.take(now));
        let mut good = (0..self.places.len()).filter(|at| is_good(*at)).fold(0, |good, at| good | (1 << at));
        good &= left;
        while let Some(at) = turn::choose(self.turn, good) {
            if takes(at) {
                return Some(at);
            }
            good &= !(1 << at);
        }
        turn::choose(self.turn, left)
    }
}

/// A change of a place, in one line of the log.
fn tell(upstream: &Upstream, place: &Place, change: Option<Change>) {
    let Some(change) = change else { return };
    let server = upstream.config.servers.get(place.server).map(ToString::to_string).unwrap_or_default();
    let (upstream, address) = (&upstream.name, place.at.to_string());
    match change {
        Change::Better => tracing::info!(upstream, server, address, "a server of the upstream is back"),
        Change::Worse => {
            tracing::warn!(upstream, server, address, "a server of the upstream gets no turns for now");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use turn::Check;

    fn upstream(servers: &[&str]) -> Arc<Upstream> {
        let server = |server: &&str| config::server(server, Path::new("/")).unwrap();
        let config = config::Upstream::new(servers.iter().map(server).collect());
        let upstream = Upstream::new("x", &config, Tls::default());
        for (number, server) in config.servers.iter().enumerate() {
            upstream.is_at(number, at_once(server).into_iter().collect());
        }
        Arc::new(upstream)
    }

    fn sockets(hosts: &[u8]) -> Vec<At> {
        hosts.iter().map(|host| At::Socket(([10, 0, 0, *host], 80).into())).collect()
    }

    fn reachable(upstream: &Upstream) -> bool {
        upstream.servers().iter().any(|(_, healthy)| *healthy)
    }

    fn next(upstream: &Arc<Upstream>) -> Option<usize> {
        Tries::of(upstream.clone()).next()
    }

    /// The places that one request tries if each takes no connection.
    fn all(upstream: &Arc<Upstream>) -> Vec<usize> {
        let mut tries = Tries::of(upstream.clone());
        let mut tried = Vec::new();
        loop {
            tries.at = tries.next();
            tried.extend(tries.at);
            let mut error = Error::new(ErrorType::ConnectRefused);
            tries.refused(&mut error);
            if !error.retry() {
                return tried;
            }
        }
    }

    #[test]
    fn a_request_tries_each_place_once_and_those_that_are_well_first() {
        let upstream = upstream(&["http://10.0.0.1", "http://10.0.0.2", "unix:/run/c.sock"]);
        upstream.places.current()[1].health.refused(upstream.now());
        assert_eq!(all(&upstream), [0, 2, 1]);
        let mut others = all(&upstream);
        others.sort_unstable();
        assert_eq!(others, [0, 1, 2], "all rest, and are tried all the same");
    }

    #[test]
    fn what_rests_or_fails_its_checks_gets_no_turns() {
        let upstream = upstream(&["http://10.0.0.1", "http://10.0.0.2", "http://10.0.0.3"]);
        assert_eq!([(); 4].map(|()| next(&upstream)), [0, 1, 2, 0].map(Some));
        let places = upstream.places.current();
        places[0].health.refused(upstream.now());
        for _ in 0..turn::UNHEALTHY_AFTER {
            places[1].health.checked(Check::Failed);
        }
        assert_eq!([(); 3].map(|()| next(&upstream)), [2, 2, 2].map(Some));
        let servers = upstream.servers().into_iter().map(|(_, good)| good);
        assert_eq!(servers.collect::<Vec<_>>(), [false, false, true]);
        assert!(reachable(&upstream));
        places[2].health.refused(upstream.now());
        assert!(!reachable(&upstream));
    }

    #[test]
    fn a_shared_connection_that_ended_is_no_fault_of_the_place() {
        let upstream = upstream(&["h2c://10.0.0.1"]);
        let mut tries = Tries::of(upstream.clone());
        tries.at = tries.next();
        let mut retries = || {
            let mut error = Error::new(ErrorType::H2Error);
            tries.refused(&mut error);
            error.retry()
        };
        assert!(retries());
        assert!(reachable(&upstream));
        assert!(!retries(), "once");
    }

    #[test]
    fn without_an_address_there_is_no_place() {
        let upstream = upstream(&["http://a.test"]);
        assert_eq!(next(&upstream), None);
        assert!(!reachable(&upstream));
        assert_eq!(upstream.servers(), [("http://a.test:80".to_owned(), false)]);
    }

    #[test]
    fn an_address_that_stays_keeps_what_is_known_of_it() {
        let upstream = upstream(&["http://a.test", "http://b.test"]);
        upstream.is_at(0, sockets(&[1, 2]));
        upstream.is_at(1, sockets(&[3]));
        let at = |upstream: &Upstream| -> Vec<String> {
            upstream.places.current().iter().map(|place| place.at.to_string()).collect()
        };
        assert_eq!(at(&upstream), ["10.0.0.1:80", "10.0.0.3:80", "10.0.0.2:80"]);
        upstream.places.current()[2].health.refused(upstream.now());
        upstream.is_at(0, sockets(&[2, 4]));
        assert_eq!(at(&upstream), ["10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"]);
        assert!(!upstream.places.current()[0].health.is_good(upstream.now()));
    }

    #[tokio::test]
    async fn a_name_that_stops_resolving_keeps_its_last_addresses() {
        let upstream = upstream(&["http://localhost:81", "http://nowhere.invalid"]);
        upstream.is_at(1, sockets(&[7]));
        let weak = Arc::downgrade(&upstream);
        assert_eq!(look_up(&weak, 0, Resolved::Yes).await, Some(Resolved::Yes));
        assert_eq!(look_up(&weak, 1, Resolved::Yes).await, Some(Resolved::No));
        let of = |server| upstream.places.current().iter().filter(|place| place.server == server).count();
        assert!(of(0) > 0);
        assert_eq!(of(1), 1);
        drop(upstream);
        assert_eq!(look_up(&weak, 0, Resolved::Yes).await, None, "nobody holds it");
    }

    #[test]
    fn a_name_with_many_addresses_leaves_room_for_others() {
        let many: Vec<u8> = (0..100).collect();
        let upstream = upstream(&["http://a.test", "http://b.test"]);
        upstream.is_at(0, sockets(&many));
        upstream.is_at(1, sockets(&[200]));
        let places = upstream.places.current();
        assert_eq!((places.len(), places[1].server), (PLACES, 1));
        assert_eq!(all(&upstream).len(), PLACES);
    }
}
