//go:build unix

package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	lockPoll = 5 * time.Millisecond
	lockWait = 10 * time.Second // no change takes so long: whoever holds the lock was stopped
)

// lock keeps all others from changing the cache, in this process too. The kernel gives the lock back should this process die.
func (c *Cache) lock() (unlock func(), err error) {
	path := filepath.Join(c.dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(lockWait); ; time.Sleep(lockPoll) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { f.Close() }, nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			f.Close()
			return nil, &os.PathError{Op: "lock", Path: path, Err: err}
		case time.Now().After(deadline):
			f.Close()
			return nil, fmt.Errorf("%s: another process has held the lock for %v: end it, or let it go on", path, lockWait)
		}
	}
}

// private refuses a directory that others could put files into.
func private(dir string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("plugin cache: %s is no directory", dir)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("plugin cache: others may write %s (mode %04o), and native code is run from it: chmod 700 %[1]s", dir, info.Mode().Perm())
	case ok && int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("plugin cache: %s belongs to user %d, and native code is run from it as user %d: name another directory", dir, stat.Uid, os.Geteuid())
	}
	return nil
}
