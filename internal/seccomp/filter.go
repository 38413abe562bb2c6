package seccomp

import (
	"syscall"
)

// Filter says which system calls are told to the supervisor, which fail, and, by silence, which go on untouched.
// The zero Filter lets all pass but the socket calls of foreign ABIs. It is only read, so one may serve many programs.
type Filter struct {
	// Rules are tried in their order among those of the same number; the first whose conditions all hold decides.
	Rules []Rule

	// NoRings answers io_uring_setup(2) with ENOSYS, in every ABI: a ring makes and connects sockets past any filter.
	NoRings bool
}

// Rule is about one system call.
type Rule struct {
	Nr   int    // number in the native ABI, as unix.SYS_SOCKET
	When []Cond // all must hold; none always do
	Do   Action
}

// Action is what becomes of a call: Allow, Notify or Fail(errno).
type Action uint32

const (
	Allow  Action = 0x7fff0000 // SECCOMP_RET_ALLOW: the kernel runs it
	Notify Action = 0x7fc00000 // SECCOMP_RET_USER_NOTIF: the Listener is asked
	fail   Action = 0x00050000 // SECCOMP_RET_ERRNO
)

// Fail answers with errno, which the supervisor is not asked for.
func Fail(errno syscall.Errno) Action { return fail | Action(errno&0xfff) }

// enosys is Linux's, as this file is compiled elsewhere too.
const enosys = fail | 38

// Cond is a condition on one argument. Most arguments are ints, of which the kernel takes the low half whatever is in
// the high one, so that is what conditions look at unless High is set.
type Cond struct {
	Arg    int // 0 to 5
	High   bool
	Op     Op
	Mask   uint32 // 0 is all bits
	Values []uint32
}

// Op is how a condition compares.
type Op uint8

const (
	In      Op = iota // the masked half is one of Values
	NotIn             // the masked half is none of Values
	NonZero           // a bit of either half is set, as in a pointer; Mask, High and Values do not count
)

// Is holds if the int argument is one of values.
func Is(arg int, values ...uint32) Cond { return Cond{Arg: arg, Values: values} }

// IsNot holds if the int argument is none of values.
func IsNot(arg int, values ...uint32) Cond { return Cond{Arg: arg, Op: NotIn, Values: values} }

// Masked holds if the int argument, reduced to the bits of mask, is one of values.
func Masked(arg int, mask uint32, values ...uint32) Cond {
	return Cond{Arg: arg, Mask: mask, Values: values}
}

// Pointer holds if the 64-bit argument is not 0.
func Pointer(arg int) Cond { return Cond{Arg: arg, Op: NonZero} }
