// Package cache keeps the packages of plugins on disk, by their identity.
//
//	DIR/sha256/DIGEST.wasm   packages; the digest is that of package pack, so a name never comes from a peer
//	DIR/compiled/            where the engine keeps native code
//	DIR/index                what is there, by id and version; made anew from the packages when it is missing or damaged
//	DIR/lock                 held by the process that changes something
//
// Any number of processes and goroutines may use one directory at once. A file appears whole or not at all, also when a process is killed
// while it writes. What is read is compared with its digest each time; what does not fit is removed and counts as missing. The packages used
// longest ago make room for new ones: the time of a file is that of its last use.
//
// The directory belongs to one user and is closed to all others, since native code is run from it.
package cache
