//go:build amd64 || arm64

package seccomp

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func init() { roles["memory"] = roleMemory }

// roleMemory has a page, which ends where nothing is, and asks for what is in it and after it.
func roleMemory([]string) int {
	page := os.Getpagesize()
	mem, err := unix.Mmap(-1, 0, 2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return complain("%v", err)
	}
	addr := uintptr(unsafe.Pointer(&mem[0]))
	if _, _, errno := unix.Syscall(unix.SYS_MUNMAP, addr+uintptr(page), uintptr(page), 0); errno != 0 {
		return complain("%v", errno)
	}
	copy(mem, "question")
	if _, errno := ask(0, addr); errno != 0 || !strings.HasPrefix(string(mem[:8]), "answered") {
		return complain("read and write: %v, %q", errno, mem[:8])
	}
	if _, errno := ask(1, addr+uintptr(page)-4); errno != unix.EFAULT {
		return complain("memory that ends too early: %v, want EFAULT", errno)
	}
	if _, errno := ask(1, 0); errno != unix.EFAULT {
		return complain("memory at 0: %v, want EFAULT", errno)
	}
	if _, errno := ask(2, addr); errno != 0 {
		return complain("large read: %v", errno)
	}
	return 0
}

func TestMemoryOfTheCallerIsReadAndWritten(t *testing.T) {
	for _, byFile := range []bool{false, true} {
		var problem error
		note := func(err error) {
			if err != nil && problem == nil {
				problem = err
			}
		}
		r := start(t, questions(3), 1, func(c *Call) {
			if byFile {
				c.noDirect = true
			}
			switch b := make([]byte, 8); c.Args[0] - magic {
			case 0:
				note(c.Read(c.Args[1], b))
				if string(b) != "question" {
					note(fmt.Errorf("read %q", b))
				}
				note(c.Write(c.Args[1], []byte("answered")))
				c.Return(0)
			case 1:
				var errno unix.Errno
				if err := c.Read(c.Args[1], b); !errors.As(err, &errno) {
					note(fmt.Errorf("read of a hole: %v", err))
				}
				if err := c.Write(c.Args[1], b); !errors.Is(err, errno) {
					note(fmt.Errorf("write of a hole: %v, want %v", err, errno))
				}
				c.Errno(errno)
			case 2:
				all := bytes.Repeat([]byte{1}, maxMemory)
				note(c.Read(c.Args[1], all))
				if !bytes.HasPrefix(all, []byte("answered\x00\x00")) {
					note(fmt.Errorf("read %q", all[:10]))
				}
				note(c.Read(c.Args[1], nil))
				all = append(all, 0)
				if c.Read(c.Args[1], all) == nil || c.Write(c.Args[1], all) == nil {
					note(fmt.Errorf("%d bytes were moved, more than maxMemory", len(all)))
				}
				c.Return(0)
			}
		}, "memory")
		r.wait()
		if problem != nil {
			t.Errorf("by file %t: %v", byFile, problem)
		}
	}
}

func init() { roles["sockets"] = roleSockets }

// roleSockets shows descriptors: a socket, its duplicate, another socket, a file, none.
func roleSockets([]string) int {
	one, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	two, err2 := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	dup, err3 := unix.Dup(one)
	if err := errors.Join(err, err2, err3); err != nil {
		return complain("%v", err)
	}
	for _, fd := range []int{one, dup, two, 0, 999} {
		if _, errno := ask(0, uintptr(fd)); errno != 0 {
			return complain("descriptor %d: %v", fd, errno)
		}
	}
	return 0
}

func TestSocketsAreKnownByTheirCookieNotTheirNumber(t *testing.T) {
	for _, whole := range []bool{false, true} {
		before := wholeProcess.Swap(whole)
		var cookies []uint64
		var errs []error
		r := start(t, questions(1), 1, func(c *Call) {
			cookie, err := c.Cookie(int(int32(c.Args[1])))
			cookies, errs = append(cookies, cookie), append(errs, err)
			c.Return(0)
		}, "sockets")
		r.wait()
		wholeProcess.Store(before)
		if len(cookies) != 5 {
			t.Fatalf("%d questions, want 5", len(cookies))
		}
		if cookies[0] == 0 || cookies[0] != cookies[1] || cookies[0] == cookies[2] {
			t.Errorf("cookies %v: want two equal, one other", cookies[:3])
		}
		if errors.Join(errs[:3]...) != nil || !errors.Is(errs[3], unix.ENOTSOCK) || !errors.Is(errs[4], unix.EBADF) {
			t.Errorf("errors %v: want none thrice, ENOTSOCK, EBADF", errs)
		}
	}
}

func TestThreadGroupIsFoundInAnyStatus(t *testing.T) {
	good := "Name:\ta\nUmask:\t0022\nTgid:\t123\nPid:\t124\n"
	if id, err := parseThreadGroup([]byte(good)); id != 123 || err != nil {
		t.Errorf("parseThreadGroup(%q) = %d, %v, want 123", good, id, err)
	}
	for cut := range strings.Index(good, "123") {
		if id, err := parseThreadGroup([]byte(good[:cut])); err == nil {
			t.Errorf("parseThreadGroup(%q) = %d, want an error", good[:cut], id)
		}
	}
	if id, err := threadGroup(uint32(unix.Gettid())); id != os.Getpid() || err != nil {
		t.Errorf("threadGroup of a thread of ours = %d, %v, want %d", id, err, os.Getpid())
	}
}

func init() { roles["bind"] = roleBind }

// roleBind binds to 127.9.9.9:80 with an address of the usual length, and with one that is far too long.
func roleBind([]string) int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return complain("%v", err)
	}
	b := [256]byte{2, 0, 0, 80, 127, 9, 9, 9}
	for _, n := range []uintptr{16, 200, 1<<32 - 1} {
		if _, _, errno := unix.Syscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&b)), n); errno != unix.EADDRNOTAVAIL {
			return complain("bind with %d bytes: %v, want EADDRNOTAVAIL", n, errno)
		}
	}
	return 0
}

func TestBoundAddressIsReadUpToMaxAddress(t *testing.T) {
	f := &Filter{Rules: []Rule{{Nr: unix.SYS_BIND, Do: Notify}}}
	r := start(t, f, 1, func(c *Call) {
		family, a, ok, err := c.Address(c.Args[1], c.Args[2])
		if family != inet || a.String() != "127.9.9.9:80" || !ok || err != nil || maxAddress > 256 {
			t.Errorf("Address(%d bytes) = %d, %v, %t, %v", c.Args[2], family, a, ok, err)
		}
		c.Errno(unix.EADDRNOTAVAIL)
	}, "bind")
	r.wait()
}
