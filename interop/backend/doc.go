// Package backend runs one client and one server against each other through the network simulator, in a world that it makes for the
// occasion and removes afterwards.
//
// There are two kinds of world. The netns backend gives each job namespaces of its own, in which the two programs find exactly what a
// container of the QUIC interop runner finds: addresses, host names, port 443, /certs, /www, /downloads, /logs. It needs Linux and
// either root or unprivileged user namespaces, and no other program. The loopback backend starts the programs as they are and relays
// UDP between two ports of the loopback interface through the same simulator; paths and ports are then those of [Backend.Places].
//
// A program that uses this package calls [Main] first: the netns backend starts the program itself again, as the sandbox of a job and
// as the launcher of each endpoint.
//
//	quiver ── sandbox (PID 1 of the job: links, simulator, readiness, deadline)
//	             ├── launcher, which becomes the server
//	             └── launcher, which becomes the client
//
// When the sandbox ends, for whatever reason, the kernel ends every process of the job and removes its namespaces.
//
// # Limitations
//
// Programs on the netns backend see the host's files read-only, except /tmp and /run, which are empty, and the directories above.
// The loopback backend has one path each way, no host names, and no port 57832 to wait for.
package backend
