package control

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// environment is all that the choice of a runtime directory depends on.
type environment struct {
	uid    int
	getenv func(string) string
	temp   string                        // os.TempDir
	owner  func(dir string) (int, error) // of a directory that is no symbolic link
	glob   func(pattern string) []string // sorted
}

func thisEnvironment() environment {
	return environment{
		uid:    os.Geteuid(),
		getenv: os.Getenv,
		temp:   os.TempDir(),
		owner:  ownerOf,
		glob: func(pattern string) []string {
			paths, _ := filepath.Glob(pattern) // the patterns are ours and well formed
			return paths
		},
	}
}

// ours returns where this user's supervisors publish themselves: the first that
// can be had.
func (e environment) ours() []string {
	if dir := e.getenv("QUIVER_RUNTIME_DIR"); dir != "" {
		return []string{dir}
	}
	var dirs []string
	if dir := e.getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		// Under sudo it may still be that of another user, who could not enter what we would make there.
		if uid, err := e.owner(dir); err == nil && uid == e.uid {
			dirs = append(dirs, filepath.Join(dir, "quiver"))
		}
	}
	if e.uid == 0 {
		dirs = append(dirs, "/run/quiver")
	}
	return append(dirs, filepath.Join(e.temp, "quiver-"+strconv.Itoa(e.uid)))
}

// readable returns where supervisors may have published themselves, for a
// reader: all that is ours, whatever the environment of the one who published,
// and for root what is anybody's.
func (e environment) readable() []string {
	dirs := e.ours()
	if e.getenv("QUIVER_RUNTIME_DIR") != "" {
		return dirs
	}
	dirs = append(dirs, fmt.Sprintf("/run/user/%d/quiver", e.uid), fmt.Sprintf("/tmp/quiver-%d", e.uid))
	if e.uid == 0 {
		dirs = append(dirs, e.glob("/run/user/*/quiver")...)
		dirs = append(dirs, e.glob("/tmp/quiver-[0-9]*")...)
		dirs = append(dirs, e.glob(filepath.Join(e.temp, "quiver-[0-9]*"))...)
	}
	var once []string
	for _, dir := range dirs {
		if !slices.Contains(once, dir) {
			once = append(once, dir)
		}
	}
	return once
}
