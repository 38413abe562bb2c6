package plugin

import (
	"encoding/binary"

	"github.com/seed51309289/quiver/plugin/pack"
)

// ABI is the version of the WebAssembly ABI that this host speaks (docs/plugin-abi.md).
const ABI pack.ABIVersion = 1 << 16

// Names of the ABI.
const (
	importModule = "pq"

	exportMemory  = "memory"
	exportVersion = "pq_abi"
	exportContext = "pq_ctx"
	exportBuffer  = "pq_buf"
	exportCall    = "pq_call"
	exportInit    = "pq_init"
)

// The context block.
const (
	contextSize = 4096
	inAt        = 64   // where the in-struct begins
	outAt       = 2048 // where the out-struct begins
	outCleared  = 64   // bytes of it that are zero before a call

	minBuffer        = 1536
	minPayloadBuffer = 3072 // of the buffer that receives views, if packets are among them
)

// Words of the header of the context block.
const (
	wordSize    = 0
	wordABI     = 4
	wordNow     = 8
	wordOp      = 16
	wordArg     = 20
	wordPath    = 24
	wordFlags   = 28
	wordView    = 32
	wordViewLen = 36
	wordOut     = 40
	wordOutCap  = 44
)

// resultDefer is what pq_call returns to leave a decision to others.
const resultDefer = -1

var le = binary.LittleEndian

// flag returns bit n if set.
func flag(set bool, n uint) uint32 {
	if set {
		return 1 << n
	}
	return 0
}
