package plugin

import "syscall"

// reserve maps address space that costs nothing until it is touched. Outside the Go heap it neither counts in the pace of garbage collection
// nor has to be cleared. nil = the heap must do.
func reserve(size uint64) []byte {
	if size == 0 {
		return nil
	}
	b, err := syscall.Mmap(-1, 0, int(size), syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	if err != nil {
		return nil
	}
	// Neighbouring memories become one mapping, in which a touched page would become a huge one: 2 MiB for a plugin that uses 12 KiB.
	syscall.Madvise(b, syscall.MADV_NOHUGEPAGE)
	return b
}

func release(b []byte) {
	if b != nil {
		syscall.Munmap(b)
	}
}
