//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxPath   = 103                  // bytes of a socket's path: sun_path has 104 in the BSDs and 108 on Linux, with the zero
	lockLimit = 2 * time.Second      // for others to let go of a directory
	lockPause = 2 * time.Millisecond // between two tries: flock has no time limit of its own
)

// A directory is an open runtime directory. All that is done in it is done by
// way of the descriptor, so that nobody can put another in its place.
type directory struct {
	path string
	file *os.File
	uid  int        // owner
	mu   sync.Mutex // held with the lock
}

// openDirectory opens a runtime directory for a reader who is uid: it belongs to
// uid, or uid is root and it belongs to anybody.
func openDirectory(path string, uid int) (*directory, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		// A symbolic link is ENOTDIR or ELOOP, by the system.
		if at, _ := os.Lstat(path); at != nil && at.Mode()&fs.ModeSymlink != 0 {
			return nil, fmt.Errorf("%s is a symbolic link, want a directory", path)
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	d := &directory{path: path, file: os.NewFile(uintptr(fd), path)}
	var at unix.Stat_t
	if err := unix.Fstat(fd, &at); err != nil {
		d.close()
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	d.uid = int(at.Uid)
	switch {
	case d.uid != uid && uid != 0:
		err = fmt.Errorf("%s belongs to user %d, want %d", path, d.uid, uid)
	case at.Mode&0o022 != 0:
		err = fmt.Errorf("%s may be written to by others (mode %#o), want 0700", path, at.Mode&0o777)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// makeDirectory opens the runtime directory path for a supervisor that is uid,
// and makes it, though not its parents, if it is not there.
func makeDirectory(path string, uid int) (*directory, error) {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	d, err := openDirectory(path, uid)
	if err != nil {
		return nil, err
	}
	if d.uid != uid {
		d.close()
		return nil, fmt.Errorf("%s belongs to user %d, want %d", path, d.uid, uid)
	}
	if err := d.file.Chmod(0o700); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *directory) close() { d.file.Close() }

// names returns the names of up to n sockets.
func (d *directory) names(n int) ([]string, error) {
	if _, err := d.file.Seek(0, 0); err != nil {
		return nil, err
	}
	entries, err := d.file.ReadDir(-1)
	var names []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".sock" && e.Type() == fs.ModeSocket && len(names) < n {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// address returns a path of name that fits into a socket address.
func (d *directory) address(name string) (string, error) {
	if path := filepath.Join(d.path, name); len(path) <= maxPath {
		return path, nil
	}
	short := fmt.Sprintf("/proc/self/fd/%d", d.file.Fd())
	if at, err := os.Stat(short); err != nil || !at.IsDir() {
		return "", fmt.Errorf("%s is too long for a socket: got %d bytes, want at most %d; set QUIVER_RUNTIME_DIR to a shorter path",
			d.path, len(d.path)+1+len(name), maxPath)
	}
	return short + "/" + name, nil
}

// lock keeps others from adding and removing sockets, until unlock. It waits for
// them for up to lockLimit.
func (d *directory) lock(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, lockLimit)
	defer cancel()
	for {
		if locked, err := d.tryLock(); locked || err != nil {
			return err
		}
		select {
		case <-limited.Done():
			return fmt.Errorf("%s is locked by another process", d.path)
		case <-time.After(lockPause):
		}
	}
}

// tryLock is lock, but for the wait.
func (d *directory) tryLock() (bool, error) {
	d.mu.Lock() // flock is about open files, and goroutines share d's
	err := unix.Flock(int(d.file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return true, nil
	}
	d.mu.Unlock()
	if err == unix.EWOULDBLOCK || err == unix.EINTR {
		return false, nil
	}
	return false, &fs.PathError{Op: "flock", Path: d.path, Err: err}
}

func (d *directory) unlock() {
	unix.Flock(int(d.file.Fd()), unix.LOCK_UN)
	d.mu.Unlock()
}

func (d *directory) remove(name string) error {
	return unix.Unlinkat(int(d.file.Fd()), name, 0)
}

// private keeps a socket from everybody else, also where a directory's mode does
// not.
func (d *directory) private(name string) error {
	return unix.Fchmodat(int(d.file.Fd()), name, 0o600, 0)
}

// ownerOf returns the user that a directory belongs to.
func ownerOf(dir string) (int, error) {
	at, err := os.Lstat(dir)
	if err != nil {
		return -1, err
	}
	sys, ok := at.Sys().(*syscall.Stat_t)
	if !ok || !at.IsDir() {
		return -1, fmt.Errorf("%s is no directory", dir)
	}
	return int(sys.Uid), nil
}

// nobodyThere reports whether err of dialling says that no process listens on a
// socket that exists.
func nobodyThere(err error) bool { return errors.Is(err, unix.ECONNREFUSED) }
