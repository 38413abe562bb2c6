//go:build amd64 || arm64

package seccomp

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxMemory is how many bytes of a caller's memory one Read or Write moves. limit: what arguments point to, such as
// addresses and options, is smaller, and the length is the caller's to say.
const maxMemory = 4096

// iovec is struct iovec with addresses that may be another process's.
type iovec struct{ base, len uint64 }

// Read fills b, up to 4096 bytes, from the caller's memory at addr. It returns unix.EFAULT, wrapped, if not all of it
// can be read, and ErrGone if the caller went meanwhile.
func (c *Call) Read(addr uint64, b []byte) error {
	if err := c.move(unix.SYS_PROCESS_VM_READV, unix.O_RDONLY, unix.SYS_PREAD64, addr, len(b)); err != nil {
		return err
	}
	copy(b, c.mem[:])
	return nil
}

// Write puts b, up to 4096 bytes, into the caller's memory at addr, with errors as Read. After an error some of it may
// be there.
func (c *Call) Write(addr uint64, b []byte) error {
	copy(c.mem[:], b)
	return c.move(unix.SYS_PROCESS_VM_WRITEV, unix.O_WRONLY, unix.SYS_PWRITE64, addr, len(b))
}

// move goes by way of c.mem, so that the slices of handlers need not live in the heap. Where process_vm_readv(2) is
// forbidden or left out of the kernel, the file of the memory may do, which also writes what the caller may only read.
func (c *Call) move(direct uintptr, mode int, byFile uintptr, addr uint64, size int) error {
	if size > maxMemory {
		return fmt.Errorf("seccomp: %d bytes of memory of process %d, want at most %d", size, c.PID, maxMemory)
	}
	if size == 0 {
		return nil
	}
	c.local = iovec{uint64(uintptr(unsafe.Pointer(&c.mem))), uint64(size)}
	c.remote = iovec{addr, uint64(size)}
	n, errno := uintptr(0), unix.EPERM
	if !c.noDirect {
		n, _, errno = unix.Syscall6(direct, uintptr(c.PID), uintptr(unsafe.Pointer(&c.local)), 1, uintptr(unsafe.Pointer(&c.remote)), 1, 0)
	}
	if errno == unix.EPERM || errno == unix.ENOSYS {
		n, errno = c.moveByFile(mode, byFile, addr, size, errno)
	}
	if err := c.Valid(); err != nil {
		return err
	}
	if errno == 0 && int(n) != size {
		errno = unix.EFAULT
	}
	if errno != 0 {
		return c.failed(fmt.Sprintf("%d bytes of memory at %#x of", size, addr), errno)
	}
	return nil
}

// moveByFile returns the error number refused if the file cannot be opened.
func (c *Call) moveByFile(mode int, call uintptr, addr uint64, size int, refused unix.Errno) (uintptr, unix.Errno) {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/mem", c.PID), mode|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, refused
	}
	defer unix.Close(fd)
	n, _, errno := unix.Syscall6(call, uintptr(fd), uintptr(unsafe.Pointer(&c.mem)), uintptr(size), uintptr(addr), 0, 0)
	if errno == unix.EIO {
		errno = unix.EFAULT
	}
	return n, errno
}

// Address reads the socket address at addr in the caller's memory, whose length is an argument too; of a longer one
// than struct sockaddr_storage the first 128 bytes. ok is ParseAddress's. Errors are Read's.
func (c *Call) Address(addr, length uint64) (family uint16, a netip.AddrPort, ok bool, err error) {
	var b [maxAddress]byte
	n := min(uint32(length), maxAddress) // an int to the kernel, which refuses what is negative
	if err := c.Read(addr, b[:n]); err != nil {
		return 0, a, false, err
	}
	family, a, ok = ParseAddress(b[:n])
	return family, a, ok, nil
}

// wholeProcess is set once the kernel has said that it knows no pidfd of a thread (before 6.9).
var wholeProcess atomic.Bool

// Socket returns a duplicate, close-on-exec, of the caller's descriptor fd, which the handler closes at once: while it
// is open the program's own close is not the last one. Errors wrap unix.EBADF (the caller has no such descriptor),
// unix.EPERM (it may not be looked into), unix.ENOSYS (before Linux 5.6), or are ErrGone.
func (c *Call) Socket(fd int) (int, error) {
	pidfd, err := c.pidfd()
	if err != nil {
		return -1, err
	}
	defer unix.Close(pidfd)
	if err := c.Valid(); err != nil {
		return -1, err // that was somebody else with the same number
	}
	dup, err := unix.PidfdGetfd(pidfd, fd, 0)
	if err != nil {
		return -1, c.failed(fmt.Sprintf("descriptor %d of", fd), err.(unix.Errno))
	}
	return dup, nil
}

func (c *Call) pidfd() (int, error) {
	if c.PID == 0 {
		return -1, c.failed("outside of our PID namespace:", unix.EPERM)
	}
	if !wholeProcess.Load() {
		fd, err := unix.PidfdOpen(int(c.PID), unix.PIDFD_THREAD)
		if err == nil {
			return fd, nil
		}
		if err != unix.EINVAL {
			return -1, c.failed("open the process of", err.(unix.Errno))
		}
		wholeProcess.Store(true)
	}
	tgid, err := threadGroup(c.PID)
	if err != nil {
		return -1, ErrGone
	}
	fd, err := unix.PidfdOpen(tgid, 0)
	if err != nil {
		return -1, c.failed("open the process of", err.(unix.Errno))
	}
	return fd, nil
}

// Cookie returns the number that the kernel gives each socket of a machine (SO_COOKIE): the same for all descriptors
// that lead to it, whoever has them. Errors are Socket's, or wrap unix.ENOTSOCK.
func (c *Call) Cookie(fd int) (uint64, error) {
	dup, err := c.Socket(fd)
	if err != nil {
		return 0, err
	}
	defer unix.Close(dup)
	cookie, err := unix.GetsockoptUint64(dup, unix.SOL_SOCKET, unix.SO_COOKIE)
	if err != nil {
		return 0, c.failed("cookie of a socket of", err.(unix.Errno))
	}
	return cookie, nil
}
