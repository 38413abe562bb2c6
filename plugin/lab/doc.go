// Package lab tries extensions out: two ends of a connection over a described network on a virtual clock, with or
// without extensions attached, as often as asked. It says what came of it in numbers, assertions, tables and plots.
//
// A [Scenario] is a network and the transfers over it; a [Setup] says what is attached to each end. [Run] and
// [Compare] repeat them over seeds: repetition i of a scenario loses the packets of the same numbers whatever is
// attached, so two setups are compared in pairs. Nothing waits: a transfer of 50 kB takes about a millisecond of
// processor time, however long the path.
//
// An extension that only watches changes no time. One that sets timers may: the connection wakes up for them, and what its pacer allows by then
// leaves a little earlier than it would have, which moves times by tenths of a percent.
//
// The same scenario, seed and extensions give the same times and counts in every run. Two things are outside of that: an
// extension that looks at bytes which the handshake drew by lot (keys, and what they encrypt), and one that is not a
// function of its events.
package lab
