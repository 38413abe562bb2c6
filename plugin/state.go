package plugin

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"github.com/seed51309289/quiver/plugin/wasm"
)

// fuelGlobal is what a metered module pays from.
const fuelGlobal = wasm.FuelExport

// stateGlobal is the name under which the n-th mutable global of a module is exported to the host, which has to put it back between
// connections.
func stateGlobal(n int) string { return "pq_state" + strconv.Itoa(n) }

// exposeState returns a metered module whose mutable globals are exported, fuel aside, and says whether memory and these are all that a guest
// can change. If not, an instance serves one connection only.
func exposeState(metered []byte) (module []byte, resettable bool, err error) {
	m, err := wasm.ParseMax(metered, 2*len(metered))
	if err != nil {
		return nil, false, err
	}
	taken := map[string]bool{}
	for _, e := range m.Exports {
		taken[e.Name] = true
	}
	resettable = !mayChangeTables(m, metered)
	var items []byte
	n := 0
	for i, g := range m.Globals[:len(m.Globals)-1] { // the last one is fuel
		if !g.Mutable {
			continue
		}
		name := stateGlobal(n)
		if taken[name] {
			return nil, false, fmt.Errorf("export %q: the name is the host's", name)
		}
		resettable = resettable && g.Type != wasm.V128 // of which the engine shows half
		items = append(binary.AppendUvarint(items, uint64(len(name))), name...)
		items = binary.AppendUvarint(append(items, byte(wasm.KindGlobal)), uint64(i))
		n++
	}
	if n == 0 {
		return metered, resettable, nil
	}
	for _, s := range m.Sections {
		if s.ID != wasm.SectionExport {
			continue
		}
		old := s.Payload(metered)
		_, width := binary.Uvarint(old)
		content := slices.Concat(binary.AppendUvarint(nil, uint64(len(m.Exports)+n)), old[width:], items)
		head := binary.AppendUvarint([]byte{wasm.SectionExport}, uint64(len(content)))
		return slices.Concat(metered[:s.Offset], head, content, metered[s.End:]), resettable, nil
	}
	return nil, false, fmt.Errorf("no export section")
}

// mayChangeTables reports whether code may hold one of table.init, elem.drop, table.copy and data.drop, which change what cannot be put back.
// It looks for their bytes, so it may be wrong about a constant that looks like one, and costs that plugin its pool.
func mayChangeTables(m *wasm.Module, b []byte) bool {
	for _, body := range m.Code {
		code := b[body.Code:body.End]
		for i := 0; i+1 < len(code); i++ {
			if op := code[i+1] & 0x7f; code[i] == 0xfc && (op == 9 || op >= 12 && op <= 14) {
				return true
			}
		}
	}
	return false
}
