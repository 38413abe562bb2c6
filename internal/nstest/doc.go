// Package nstest is for tests that need a network of their own: a namespace, and
// a link to another one, made by a user without privileges and gone with the
// test's process. Linux only.
package nstest
