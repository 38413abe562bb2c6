// Package control tells what runs here. Every supervisor, of quiver run and of
// quiver gateway, publishes itself with a UNIX socket in the runtime directory
// of its user; whoever may enter that directory, which is that user and root,
// can ask it.
//
// Publish makes the socket and answers two questions over HTTP: GET /v1/program
// is a Program as JSON, all that quiver ps and quiver status show, and GET
// /v1/port?tcp=N&network=ID says at which UDP port of this host a supervisor
// takes connections for the TCP port N of its program. The second is for other
// supervisors: when the shared UDP port was taken, a run serves on another one,
// and the one that has the shared port sends clients there
// (Publication.Elsewhere).
//
// List and Get ask all sockets at once and for a bounded time. Only dialling
// decides whether somebody is there: a socket that nobody listens on, because
// its process was killed, is removed by the next reader, and a process that has
// got the same number since is another matter.
//
// # Runtime directory
//
// It is $QUIVER_RUNTIME_DIR; else $XDG_RUNTIME_DIR/quiver, if that directory is
// the user's own, which under sudo it is not; else /run/quiver for root; else
// quiver-UID in $TMPDIR, which is /tmp if empty. The first that can be had is
// used. It belongs to the user, is no symbolic link, and nobody else may enter
// it: its mode is what keeps strangers out. Root reads those of all users, and
// asks a socket only if the process behind it is the directory's owner's.
package control
