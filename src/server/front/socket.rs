//! Sockets that listen: bound by us, so that what is wrong is told with what to try.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket, UnixStream};

use crate::server::Failure;

/// Connections that the system holds for us until we take them.
const BACKLOG: u32 = 1024;

/// Who may connect to a unix socket: the process's own user and group.
pub const MODE: u32 = 0o660;

/// To find out whether somebody listens on a unix socket.
const ANSWER: Duration = Duration::from_secs(1);

/// Binds an address, port 0 too; the error says what to try.
pub async fn tcp(address: &str, flag: &str) -> Result<TcpListener, Failure> {
    let failure = |reason: String| Failure::Listen { address: address.to_owned(), reason };
    let found = tokio::net::lookup_host(address).await;
    let socket = found.ok().and_then(|mut found| found.next());
    let socket = socket.ok_or_else(|| failure("the name does not resolve".to_owned()))?;
    listen(socket).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => failure(format!(
            "something else listens there; choose another with `{flag}`, or port 0 for a free one"
        )),
        ErrorKind::PermissionDenied => {
            failure(format!("not permitted; choose a port from 1024 on with `{flag}`"))
        }
        ErrorKind::AddrNotAvailable => {
            failure(format!("this machine does not have that address; choose one it has with `{flag}`"))
        }
        _ => failure(error.to_string()),
    })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart need not wait for the connections of the process before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The file of a unix socket that we listen on; removed when this is dropped, if it is still ours.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and number.
    file: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if which(&self.path).is_ok_and(|file| file == self.file) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn which(path: &Path) -> std::io::Result<(u64, u64)> {
    path.symlink_metadata().map(|meta| (meta.dev(), meta.ino()))
}

/// Binds a unix socket. What a dead process left there is replaced; any other file never is.
pub async fn unix(path: &Path) -> Result<(UnixListener, SocketFile), Failure> {
    let failure = |reason: String| Failure::Listen { address: format!("unix:{}", path.display()), reason };
    // pingora looks listeners up by their names.
    if path.to_str().is_none() {
        return Err(failure("the path is no UTF-8; choose another path".to_owned()));
    }
    remove_stale(path).await.map_err(failure)?;
    bind(path).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => failure("something else listens there; choose another path".to_owned()),
        ErrorKind::NotFound => failure("there is no such folder; create it".to_owned()),
        ErrorKind::PermissionDenied => {
            failure("not permitted; choose a folder that this user may write to".to_owned())
        }
        _ => failure(error.to_string()),
    })
}

fn bind(path: &Path) -> std::io::Result<(UnixListener, SocketFile)> {
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    let file = SocketFile { path: path.to_owned(), file: which(path)? };
    // Before it listens, so that nobody else gets in meanwhile.
    std::fs::set_permissions(path, Permissions::from_mode(MODE))?;
    Ok((socket.listen(BACKLOG)?, file))
}

async fn remove_stale(path: &Path) -> Result<(), String> {
    let Ok(meta) = path.symlink_metadata() else { return Ok(()) };
    if !meta.file_type().is_socket() {
        return Err("a file is there that is no socket; remove it, or choose another path".to_owned());
    }
    match tokio::time::timeout(ANSWER, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| format!("the old socket can't be removed: {error}"))
        }
        Ok(Err(error)) if error.kind() == ErrorKind::PermissionDenied => {
            Err("a socket is there that is another user's; choose another path".to_owned())
        }
        // Too busy to answer is alive as well.
        _ => Err("something else listens there; choose another path".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of a listener whose process died.
    fn dead(path: &Path) {
        drop(std::os::unix::net::UnixListener::bind(path).unwrap());
    }

    #[tokio::test]
    async fn what_a_dead_process_left_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        dead(&path);
        let (_listener, file) = unix(&path).await.unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, MODE);
        UnixStream::connect(&path).await.unwrap();
        drop(file);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_somebody_listens_on_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let failure = unix(&path).await.unwrap_err().to_string();
        assert!(failure.ends_with("something else listens there; choose another path"), "{failure}");
        assert!(path.exists());
    }

    #[tokio::test]
    async fn what_is_no_socket_is_never_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        std::fs::write(&path, "mine").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for path in [&path, &link] {
            let failure = unix(path).await.unwrap_err().to_string();
            assert!(failure.contains("no socket"), "{failure}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }

    #[tokio::test]
    async fn a_socket_that_took_our_place_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let (_listener, file) = unix(&path).await.unwrap();
        std::fs::rename(&path, folder.path().join("aside")).unwrap();
        dead(&path);
        drop(file);
        assert!(path.exists());
    }
}
