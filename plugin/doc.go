// Package plugin runs plugins in WebAssembly on QUIC connections.
//
// A plugin is a file: a WebAssembly module with a manifest that says which operations of a connection it watches or decides, and what it may ask
// for (package pack). Load reads it, checks that code and manifest agree, compiles it once, and tries it. Module.New then gives one connection an
// instance of its own, as a hook.Extension: for the connection there is no difference to one written in Go.
//
// A plugin can do what its manifest declares and nothing else. It has no clock, file or socket; it reads what an operation shows and writes what
// the operation lets it answer, and the connection checks that. Every call runs on fuel, counted in instructions, which are the same on every
// machine: a plugin that loops is stopped in the middle, the connection goes on with its own behaviour in the very same call, and the plugin is
// detached (Fault). After MaxFaults faults no connection gets it any more.
//
// The words in which guest and host talk are in docs/plugin-abi.md.
package plugin
