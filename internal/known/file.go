package known

import (
	"errors"
	"os"
	"path/filepath"
)

// WriteFile writes a file anew, readable for its owner only (0600), in one step:
// whoever reads it, also after a crash, finds the old bytes or the new ones.
func WriteFile(path string, b []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = file.Write(b)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}
