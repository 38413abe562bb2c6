package plugin

import (
	"crypto/subtle"
	"encoding/binary"
	"math"
	"strings"

	"github.com/seed51309289/quiver/hook"
)

// What an import returns when it refuses (docs/plugin-abi.md).
const (
	codePermission = -2
	codeLimit      = -3
	codeRange      = -4
	codeInactive   = -5
	codeNoToken    = -6
)

// hostFunc is one import.
type hostFunc struct {
	name           string
	params, result string // i is i32, I is i64
	needs          hook.Permission
	do             func(x *extension, arg []uint64) int64 // of an i32 the upper half is garbage
}

// imports is all that a guest may ask for. Guests are refused whose manifest lacks the permission for one that they name, so the check in call
// is the second one.
var imports = []hostFunc{
	{"reserve", "iii", "I", hook.MayReserve, (*extension).importReserve},
	{"cancel", "i", "i", hook.MayReserve, (*extension).importCancel},
	{"timer_set", "iI", "i", hook.MayTimer, (*extension).importTimerSet},
	{"timer_cancel", "i", "i", hook.MayTimer, (*extension).importTimerCancel},
	{"emit", "iii", "i", hook.MayEmit, (*extension).importEmit},
	{"count", "iI", "i", hook.MayCount, (*extension).importCount},
	{"log", "ii", "i", hook.MayLog, (*extension).importLog},
	{"rand", "ii", "i", hook.MayRand, (*extension).importRand},
	{"get", "ii", "I", hook.MayGet, (*extension).importGet},
	{"event", "ii", "i", hook.MayEvent, (*extension).importEvent},
	{"recovered", "iIii", "i", hook.MayRecover, (*extension).importRecovered},
	{"delivered", "iI", "i", hook.MayRecover, (*extension).importDelivered},
	{"xor", "iii", "i", hook.MayMath, (*extension).importXOR},
	{"gf256_muladd", "iiii", "i", hook.MayMath, (*extension).importMulAdd},
	{"memcmp_ct", "iii", "i", hook.MayMath, (*extension).importCompare},
}

// findImport returns the import of that name, or nil.
func findImport(name string) *hostFunc {
	for i := range imports {
		if imports[i].name == name {
			return &imports[i]
		}
	}
	return nil
}

// signature is the type of the import as wasm.FuncType prints it.
func (f *hostFunc) signature() string {
	name := map[rune]string{'i': "i32", 'I': "i64"}
	var params []string
	for _, c := range f.params {
		params = append(params, name[c])
	}
	return "(" + strings.Join(params, ", ") + ") -> " + name[rune(f.result[0])]
}

// call is what the engine calls: arg holds the arguments, and takes the result in its first place. Outside a call of the connection, as in
// pq_init, there is nobody to ask.
func (f *hostFunc) call(i *instance, arg []uint64) {
	r := int64(codeInactive)
	if x := i.serving; x != nil {
		r = codePermission
		if x.info.Permissions&f.needs != 0 {
			r = f.do(x, arg)
		}
	}
	if f.result == "i" {
		arg[0] = uint64(uint32(int32(r)))
		return
	}
	arg[0] = uint64(r)
}

// codeOf translates what a hook.Conn answers.
func codeOf(err error) int64 {
	switch err {
	case nil:
		return 0
	case hook.ErrPermission:
		return codePermission
	case hook.ErrLimit:
		return codeLimit
	case hook.ErrInactive:
		return codeInactive
	case hook.ErrNoToken:
		return codeNoToken
	}
	return codeRange
}

// path8 narrows a path, whose number a hook.Conn takes as a byte.
func path8(v uint64) (uint8, bool) { return uint8(v), uint32(v) <= math.MaxUint8 }

// bytesOf returns a range of the guest's memory after it was paid for: a unit of fuel for so many bytes. The guest may not keep it.
func (x *extension) bytesOf(off, n uint64, perUnit int64) ([]byte, int64) {
	b := x.i.mem.span(uint32(off), uint32(n))
	if b == nil {
		return nil, codeRange
	}
	if !x.charge(int64(len(b)) / perUnit) {
		return nil, codeLimit
	}
	return b, 0
}

// How many bytes of an import's work a unit of fuel buys. A host call itself is paid for in the guest.
const (
	bytesPerUnit     = 16
	randBytesPerUnit = 1
	randUnits        = 2000 // what asking for luck costs beside that: the system is asked
)

func (x *extension) importReserve(arg []uint64) int64 {
	frame, size, flags := uint32(arg[0]), uint32(arg[1]), uint32(arg[2])
	if frame >= uint32(len(x.info.Frames)) || size > hook.MaxFrameBody || flags > 3 {
		return codeRange
	}
	t, err := x.conn.Reserve(hook.Reservation{Frame: uint8(frame), Size: int(size), Urgent: flags&1 != 0, Wait: flags&2 != 0})
	if err != nil {
		return codeOf(err)
	}
	x.tokens.add(t, uint8(frame))
	return int64(t)
}

func (x *extension) importCancel(arg []uint64) int64 {
	t := hook.Token(uint32(arg[0]))
	err := x.conn.Cancel(t)
	if err == nil {
		x.tokens.remove(t)
	}
	return codeOf(err)
}

func (x *extension) importTimerSet(arg []uint64) int64 {
	if arg[1] > math.MaxInt64 {
		return codeRange
	}
	return codeOf(x.conn.SetTimer(uint32(arg[0]), hook.Instant(arg[1])))
}

func (x *extension) importTimerCancel(arg []uint64) int64 {
	return codeOf(x.conn.StopTimer(uint32(arg[0])))
}

func (x *extension) importEmit(arg []uint64) int64 {
	b, c := x.bytesOf(arg[1], arg[2], bytesPerUnit)
	if c != 0 {
		return c
	}
	return codeOf(x.conn.Emit(uint32(arg[0]), b))
}

func (x *extension) importCount(arg []uint64) int64 {
	return codeOf(x.conn.Count(uint32(arg[0]), int64(arg[1])))
}

func (x *extension) importLog(arg []uint64) int64 {
	b, c := x.bytesOf(arg[0], arg[1], bytesPerUnit)
	if c != 0 {
		return c
	}
	return codeOf(x.conn.Log(b))
}

func (x *extension) importRand(arg []uint64) int64 {
	b, c := x.bytesOf(arg[0], arg[1], randBytesPerUnit)
	if c != 0 {
		return c
	}
	if !x.charge(randUnits) {
		return codeLimit
	}
	return codeOf(x.conn.Rand(b))
}

func (x *extension) importGet(arg []uint64) int64 {
	path, ok := path8(arg[1])
	if !ok {
		return codeRange
	}
	v, err := x.conn.Get(hook.Field(uint32(arg[0])), path)
	if err != nil {
		return codeOf(err)
	}
	return int64(min(v, math.MaxInt64))
}

func (x *extension) importEvent(arg []uint64) int64 {
	b, c := x.bytesOf(arg[0], arg[1], bytesPerUnit)
	if c != 0 {
		return c
	}
	return codeOf(x.conn.Event(b))
}

func (x *extension) importRecovered(arg []uint64) int64 {
	path, ok := path8(arg[0])
	if !ok {
		return codeRange
	}
	b, c := x.bytesOf(arg[2], arg[3], bytesPerUnit)
	if c != 0 {
		return c
	}
	return codeOf(x.conn.Recovered(path, arg[1], b))
}

func (x *extension) importDelivered(arg []uint64) int64 {
	path, ok := path8(arg[0])
	if !ok {
		return codeRange
	}
	return codeOf(x.conn.Delivered(path, arg[1]))
}

// two returns two ranges of one length, paid for once.
func (x *extension) two(a, b, n uint64) (p, q []byte, c int64) {
	if p, c = x.bytesOf(a, n, bytesPerUnit); c != 0 {
		return nil, nil, c
	}
	if q = x.i.mem.span(uint32(b), uint32(n)); q == nil {
		return nil, nil, codeRange
	}
	return p, q, 0
}

// overlap reports whether two ranges of n bytes share some but not all of them.
func overlap(a, b, n uint64) bool {
	a, b, n = uint64(uint32(a)), uint64(uint32(b)), uint64(uint32(n))
	return a != b && a < b+n && b < a+n
}

func (x *extension) importXOR(arg []uint64) int64 {
	if overlap(arg[0], arg[1], arg[2]) {
		return codeRange
	}
	dst, src, c := x.two(arg[0], arg[1], arg[2])
	if c == 0 {
		subtle.XORBytes(dst, dst, src)
	}
	return c
}

func (x *extension) importMulAdd(arg []uint64) int64 {
	if overlap(arg[0], arg[1], arg[2]) || uint32(arg[3]) > math.MaxUint8 {
		return codeRange
	}
	dst, src, c := x.two(arg[0], arg[1], arg[2])
	if c == 0 {
		mulAdd(dst, src, byte(arg[3]))
	}
	return c
}

func (x *extension) importCompare(arg []uint64) int64 {
	a, b, c := x.two(arg[0], arg[1], arg[2])
	if c != 0 {
		return c
	}
	return differ(a, b)
}

// differ returns 1 if a and b, of one length, are not equal, in a time that depends on the length only. It takes words, since it is paid for
// as if it did.
func differ(a, b []byte) int64 {
	var d uint64
	for len(a) >= 8 && len(b) >= 8 {
		d |= binary.LittleEndian.Uint64(a) ^ binary.LittleEndian.Uint64(b)
		a, b = a[8:], b[8:]
	}
	for i := range a {
		d |= uint64(a[i] ^ b[i])
	}
	return int64((d | -d) >> 63)
}
