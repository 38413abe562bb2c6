// Package bench measures Quiver against other stacks: server and client are
// processes of their own, the stacks take turns in every round, and what is
// compared is a ratio within a round. Wall-clock figures of a shared machine
// mean little; ratios hold.
//
// The load is that of package peers/perf, the same code for every stack. CPU
// time is user and system time of both processes from their start to their end,
// as wait4 tells it; nothing is subtracted.
package bench
