package backend

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// madeAnew are the entries of the root directory that an endpoint does not share with the host.
var madeAnew = map[string]bool{
	"proc": true, "sys": true, "dev": true, "etc": true, ".etc": true, "tmp": true, "run": true,
	"certs": true, "www": true, "downloads": true, "logs": true, "peer": true,
}

// The files of /etc that are ours: names come from the hosts file and nowhere else.
const (
	nsswitchConf = "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n"
	resolvConf   = "# no name server: names come from /etc/hosts\noptions timeout:1 attempts:1\n"
)

// buildRoot makes the file system of an endpoint on l.Root and moves this process into it. It returns where the program is found there.
// The process must be alone in its mount namespace.
func buildRoot(l *launch) (program string, err error) {
	// What is mounted from here on stays in this namespace, and binding the host's directories must not bind the new root too.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("private mounts: %w", err)
	}
	if err := unix.Mount("tmpfs", l.Root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755,size=256m"); err != nil {
		return "", fmt.Errorf("mount tmpfs: %w", err)
	}
	if err := unix.Mount("", l.Root, "", unix.MS_UNBINDABLE, ""); err != nil {
		return "", fmt.Errorf("unbindable root: %w", err)
	}
	r := root(l.Root)
	program, put := programPath(l.Program.Argv[0])
	steps := []func() error{
		r.hostDirectories, r.etc, r.devices, r.processes,
		func() error { return r.empty("tmp", 0o1777) },
		func() error { return r.empty("run", 0o755) },
		func() error { return r.directory("certs", l.Certs, true) },
		func() error { return r.directory("www", l.WWW, true) },
		func() error { return r.directory("downloads", l.Downloads, false) },
		func() error { return r.directory("logs", l.Logs, false) },
		func() error { return r.file(program, l.Program.Argv[0], put) },
		r.enter,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return "", err
		}
	}
	return program, nil
}

// root is the host path of a root directory in the making.
type root string

func (r root) path(name string) string { return filepath.Join(string(r), name) }

// hostDirectories shows the directories of the host, read-only. One that cannot be shown is left out.
func (r root) hostDirectories() error {
	entries, err := os.ReadDir("/")
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case madeAnew[name]:
		case e.Type()&os.ModeSymlink != 0:
			if target, err := os.Readlink("/" + name); err == nil {
				os.Symlink(target, r.path(name))
			}
		case e.IsDir():
			r.bind("/"+name, name, true)
		}
	}
	return nil
}

// etc makes /etc of links to the host's, which is shown as /.etc: as deep as /etc, so that relative links in it lead where they
// did. The files that tell names to addresses are replaced.
func (r root) etc() error {
	if err := r.empty("etc", 0o755); err != nil {
		return err
	}
	ours := map[string]string{"hosts": hostsFile, "nsswitch.conf": nsswitchConf, "resolv.conf": resolvConf}
	for name, text := range ours {
		if err := os.WriteFile(r.path("etc/"+name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := r.bind("/etc", ".etc", true); err != nil {
		return nil // a host without /etc
	}
	entries, err := os.ReadDir("/etc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if ours[e.Name()] == "" {
			os.Symlink("/.etc/"+e.Name(), r.path("etc/"+e.Name()))
		}
	}
	return nil
}

// devices shows /dev as it is, but for shared memory, and a /sys of this network namespace where the kernel allows it.
func (r root) devices() error {
	if err := r.bind("/dev", "dev", false); err != nil {
		return err
	}
	unix.Mount("tmpfs", r.path("dev/shm"), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777,size=64m")
	if err := r.empty("sys", 0o555); err != nil {
		return err
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RDONLY
	if err := unix.Mount("sysfs", r.path("sys"), "sysfs", flags, ""); err != nil {
		r.bind("/sys", "sys", true)
	}
	return nil
}

// processes mounts /proc. Inside a container that masks parts of its own the kernel forbids a new one; the old serves then too.
func (r root) processes() error {
	if err := r.empty("proc", 0o555); err != nil {
		return err
	}
	if mountProc(r.path("proc")) == nil {
		return nil
	}
	return r.bind("/proc", "proc", false)
}

func mountProc(at string) error {
	return unix.Mount("proc", at, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}

func (r root) empty(name string, mode os.FileMode) error {
	if err := os.MkdirAll(r.path(name), 0o755); err != nil {
		return err
	}
	if mode&0o1000 != 0 {
		mode = mode&0o777 | os.ModeSticky
	}
	return os.Chmod(r.path(name), mode)
}

// directory shows the host's directory from as name, or an empty one if there is none.
func (r root) directory(name, from string, readOnly bool) error {
	if from == "" {
		return r.empty(name, 0o755)
	}
	return r.bind(from, name, readOnly)
}

// file shows the host's file from at the absolute path inside, if it must be put there.
func (r root) file(inside, from string, put bool) error {
	if !put {
		return nil
	}
	if err := r.empty(filepath.Dir(inside), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(r.path(inside), nil, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(from, r.path(inside), "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", from, err)
	}
	return nil
}

// bind shows the host's directory from, with what is mounted below it, as name.
func (r root) bind(from, name string, readOnly bool) error {
	at := r.path(name)
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(from, at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		os.Remove(at)
		return fmt.Errorf("bind %s: %w", from, err)
	}
	if readOnly {
		makeReadOnly(at)
	}
	return nil
}

// makeReadOnly makes the mounts at and below path read-only, as far as the kernel lets it: it guards against accidents, not malice.
func makeReadOnly(path string) {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if unix.MountSetattr(unix.AT_FDCWD, path, unix.AT_RECURSIVE, &attr) == nil {
		return
	}
	// Linux before 5.12: only the top, and without dropping flags that a user namespace may not drop.
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return
	}
	const keep = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME | unix.MS_RELATIME
	flags := uintptr(st.Flags)&keep | unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY
	unix.Mount("", path, "", flags, "")
}

// enter makes r the root of this process. Where the old root cannot be pivoted away, as in an initial RAM disk, it is covered instead.
func (r root) enter() error {
	if err := os.Chdir(string(r)); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err == nil {
		if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount the old root: %w", err)
		}
		return os.Chdir("/")
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the new root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	return os.Chdir("/")
}
