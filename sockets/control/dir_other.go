//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package control

import (
	"context"
	"errors"
	"fmt"
)

// A directory cannot be had here: this system has no owners and modes of the
// kind that keep a runtime directory private.
type directory struct {
	path string
	uid  int
}

func openDirectory(path string, _ int) (*directory, error) {
	return nil, fmt.Errorf("%s: runtime directories: %w", path, errors.ErrUnsupported)
}

func makeDirectory(path string, uid int) (*directory, error) { return openDirectory(path, uid) }

func (d *directory) close()                         {}
func (d *directory) names(int) ([]string, error)    { return nil, errors.ErrUnsupported }
func (d *directory) address(string) (string, error) { return "", errors.ErrUnsupported }
func (d *directory) lock(context.Context) error     { return errors.ErrUnsupported }
func (d *directory) tryLock() (bool, error)         { return false, errors.ErrUnsupported }
func (d *directory) unlock()                        {}
func (d *directory) remove(string) error            { return errors.ErrUnsupported }
func (d *directory) private(string) error           { return errors.ErrUnsupported }

func ownerOf(string) (int, error) { return -1, errors.ErrUnsupported }

func nobodyThere(error) bool { return false }
