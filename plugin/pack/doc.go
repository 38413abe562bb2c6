// Package pack reads, makes, signs and judges the packages of plugins.
//
// A package is one WebAssembly module, which any tool for WebAssembly opens. What it says about itself lies in custom sections:
//
//	pq.manifest   what the plugin is and does: canonical JSON ([Manifest])
//	pq.src        where it was built from: canonical JSON ([Source]); may be absent
//	pq.sig        signatures of its authors, and notes of validators ([Signature]); may be absent
//	pq.proof      a place for proofs of a transparency log; nothing looks into it yet
//
// Its identity is its [Digest]: SHA-256 over "pq-plugin-v1\0" and the file without pq.sig and pq.proof, so that who signs a plugin, and who
// takes a signature away, leaves it the same plugin. Everything else is part of it, the version too.
//
// Whether a plugin may run is for [Judge] to say, from a [Trust] file. Nothing here runs a plugin, or looks into its code: that it does what
// its manifest says is enforced by the host.
//
// All functions may be called from several goroutines at once. No input makes them panic.
package pack
