//go:build !linux

package netwatch

import "errors"

func subscribe() (events, error) { return nil, errors.ErrUnsupported }

func lost(error) bool { return false }
