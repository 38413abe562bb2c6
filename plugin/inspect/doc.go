// Package inspect tells what a plugin is without running it: what its manifest says, what its code may do and cost, who signed it, what a trust
// file makes of it, and what changed between two versions.
//
// All functions may be called from several goroutines at once. Values are made for JSON; Write makes text of them for people.
package inspect
