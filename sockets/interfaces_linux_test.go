package sockets

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func init() { programs["interfaces"] = tellInterfaces }

// tellInterfaces asks a TCP socket and a UDP socket the same of the network's interfaces, and says where the answers differ.
func tellInterfaces([]string) int {
	differ := 0
	same := func(what string, ask func(fd int) (string, unix.Errno)) {
		for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
			var said [2]string
			for i, typ := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
				fd, err := unix.Socket(family, typ, 0)
				if err != nil {
					fmt.Println("socket:", err)
					differ++
					continue
				}
				answer, errno := ask(fd)
				said[i] = fmt.Sprintf("%q %v", answer, errno)
				unix.Close(fd)
			}
			if said[0] != said[1] {
				fmt.Printf("%s, family %d: TCP %s, UDP %s\n", what, family, said[0], said[1])
				differ++
			}
			if family == unix.AF_INET {
				fmt.Println(what, said[0])
			}
		}
	}
	for _, size := range []int32{math.MinInt32, -1, 0, 1, sizeofIfreq, 2 * sizeofIfreq, maxIfconf + 1, math.MaxInt32} {
		same(fmt.Sprint("list in ", size), func(fd int) (string, unix.Errno) {
			room := make([]byte, maxIfconf)
			conf := struct {
				size int32
				at   unsafe.Pointer
			}{size, unsafe.Pointer(&room[0])}
			errno := ioctlErrno(fd, unix.SIOCGIFCONF, unsafe.Pointer(&conf))
			return fmt.Sprint(conf.size, names(room)), errno
		})
	}
	same("list in nothing", func(fd int) (string, unix.Errno) {
		conf := struct {
			size int32
			at   unsafe.Pointer
		}{}
		errno := ioctlErrno(fd, unix.SIOCGIFCONF, unsafe.Pointer(&conf))
		return fmt.Sprint(conf.size), errno
	})
	same("list nowhere", func(fd int) (string, unix.Errno) { return "", ioctlErrno(fd, unix.SIOCGIFCONF, nil) })
	for _, request := range interfaceQuestions[1:] {
		for _, name := range []string{"lo", hereDev, "nothing0"} {
			same(fmt.Sprintf("%#x of %s", request, name), func(fd int) (string, unix.Errno) {
				var one [sizeofIfreq]byte
				copy(one[:], name)
				errno := ioctlErrno(fd, uintptr(request), unsafe.Pointer(&one))
				return string(one[:]), errno
			})
		}
		same(fmt.Sprintf("%#x nowhere", request), func(fd int) (string, unix.Errno) { return "", ioctlErrno(fd, uintptr(request), nil) })
	}
	fmt.Println("different:", differ)
	return 0
}

func ioctlErrno(fd int, request uintptr, arg unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg))
	return errno
}

// names are those of a list of interfaces.
func names(list []byte) (out []string) {
	for ; len(list) >= sizeofIfreq && list[0] != 0; list = list[sizeofIfreq:] {
		name, _, _ := bytes.Cut(list[:unix.IFNAMSIZ], []byte{0})
		out = append(out, string(name))
	}
	return out
}

func TestATCPSocketKnowsTheInterfacesOfTheHost(t *testing.T) {
	inModes(t, func(w *world, mode string) {
		w.joined()
		r := w.start(mode, "interfaces")
		r.says("different: 0")
		r.says(hereDev)
		r.wantExit(0)
	})
}

func TestThereIsRoomForSoManyInterfacesAtOnce(t *testing.T) {
	for size, want := range map[int32]int32{math.MinInt32: 1, 0: 1, sizeofIfreq: sizeofIfreq, maxIfconf: maxIfconf, math.MaxInt32: maxIfconf} {
		if got := roomFor(size); got != want {
			t.Errorf("room for %d: %d, want %d", size, got, want)
		}
	}
}
