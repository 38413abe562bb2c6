// Package doctor finds out what this machine allows of running a program under
// quiver, and which way would be chosen and why.
//
//	Fact     one thing that is there or is not, what it is for, and what to do
//	Decide   facts → Choice, or an *UnableError that names what is in the way. Pure.
//	Choose   the same for a supervisor that starts: tries what decides, in a few milliseconds
//	Examine  all facts, for people: quiver doctor
//
// Nothing is concluded from a version or a setting: every fact that decides is
// tried, in processes and on threads that are thrown away, so that the kernel
// removes what was made. Settings are read only to explain what did not work.
//
// # The ladder
//
// A run needs seccomp with a listener, and a network namespace of its own with a
// packet filter in it: the fabric. For the second it needs privileges, of root,
// or those that everybody has in a user namespace of his own, where the kernel
// allows one. The mode is then inside, if the program may be started in that
// network namespace, else outside. Where there is no way, quiver gateway works:
// it needs none of this.
package doctor
