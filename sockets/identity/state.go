package identity

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// stateVar names the directory of keys in the environment.
const stateVar = "QUIVER_STATE_DIR"

// rootStateDir is root's.
const rootStateDir = "/var/lib/quiver"

// lockWait bounds waiting for other processes, which hold a lock for as long as
// it takes to write a file.
const (
	lockWait = 5 * time.Second
	lockPoll = 5 * time.Millisecond
)

// state is the directory with all that outlives a process.
type state struct {
	dir string // "" = nothing does
	why string // there is none
}

// findState returns the directory that was asked for, or the first of the usual
// ones that can be used.
func findState(asked string, getenv func(string) string, uid int) (*state, error) {
	if asked == "" {
		asked = getenv(stateVar)
	}
	if asked != "" {
		refused, err := prepare(asked, uid)
		if err == nil && refused != nil {
			err = &FileError{Path: asked, Err: reason(refused), hint: "name a directory that user " + fmt.Sprint(uid) + " can write"}
		}
		return &state{dir: asked}, err
	}
	dirs, why := usualDirs(getenv, uid)
	for _, dir := range dirs {
		refused, err := prepare(dir, uid)
		if err != nil {
			return nil, err
		}
		if refused == nil {
			return &state{dir: dir}, nil
		}
		why = append(why, fmt.Sprintf("%s: %v", dir, reason(refused)))
	}
	return &state{why: strings.Join(why, ", ")}, nil
}

// usualDirs lists the directories to try, and why there are not more.
func usualDirs(getenv func(string) string, uid int) (dirs, why []string) {
	if uid == 0 {
		dirs = append(dirs, rootStateDir)
	}
	switch base, home := getenv("XDG_STATE_HOME"), getenv("HOME"); {
	case filepath.IsAbs(base): // others are to be ignored (XDG Base Directory Specification)
		dirs = append(dirs, filepath.Join(base, "quiver"))
	case filepath.IsAbs(home):
		dirs = append(dirs, filepath.Join(home, ".local", "state", "quiver"))
	default:
		why = append(why, "HOME is not set")
	}
	return dirs, why
}

// prepare makes dir if need be. refused says that this user cannot write there;
// err that nobody should keep secrets there.
func prepare(dir string, uid int) (refused, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err, nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err, nil
	}
	if owner, known := ownerOf(info); known && owner != uid {
		return nil, &FileError{Path: dir, Err: fmt.Errorf("the directory belongs to user %d, this is user %d", owner, uid), hint: "name another one in $" + stateVar}
	}
	if othersMay(info, 0o022) {
		return nil, &FileError{Path: dir, Err: fmt.Errorf("others may write the directory (mode %04o), and so replace keys", info.Mode().Perm()), hint: "chmod 700 " + dir}
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err, nil
	}
	return nil, lock.Close()
}

// locked runs f while no other process of this directory does.
func (s *state) locked(f func() error) error {
	file, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return &FileError{Path: s.dir, Err: reason(err), hint: "make it a directory that this user can write"}
	}
	defer file.Close() // and unlocks
	if err := lockFile(file); err != nil {
		return err
	}
	return f()
}

// lockFile locks a file until it is closed.
func lockFile(file *os.File) error {
	for deadline := time.Now().Add(lockWait); ; time.Sleep(lockPoll) {
		held, err := tryLock(file)
		switch {
		case err != nil:
			return &FileError{Path: file.Name(), Err: fmt.Errorf("lock: %w", err)}
		case held:
			return nil
		case time.Now().After(deadline):
			return &FileError{Path: file.Name(), Err: fmt.Errorf("another process has held the lock for %v", lockWait), hint: "end that process, or let it go on"}
		}
	}
}

// readSecret reads a file of at most most bytes that nobody but its owner may
// read. One that is not there is os.ErrNotExist.
func readSecret(path string, most int64) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, &FileError{Path: path, Err: reason(err), hint: "give it to this user, or name another directory in $" + stateVar}
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, &FileError{Path: path, Err: reason(err)}
	}
	if owner, known := ownerOf(info); known && owner != os.Geteuid() {
		return nil, &FileError{Path: path, Err: fmt.Errorf("it belongs to user %d, this is user %d", owner, os.Geteuid()), hint: "give it to this user, or name another directory in $" + stateVar}
	}
	if othersMay(info, 0o077) {
		return nil, &FileError{Path: path, Err: fmt.Errorf("others may read or write it (mode %04o), and it holds secrets", info.Mode().Perm()), hint: "chmod 600 " + path + ", or remove it if somebody may have read it"}
	}
	b, err := readAtMost(file, most)
	if err != nil {
		return nil, &FileError{Path: path, Err: err}
	}
	return b, nil
}

// readAtMost reads all of r unless that is more than most bytes.
func readAtMost(r io.Reader, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, reason(err)
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("more than %d bytes", most)
	}
	return b, nil
}
