# pq.mk: make rules for plugins in C. In a Makefile beside the sources:
#
#   NAME = cc-mine
#   SRC  = cc_mine.c
#   include path/to/pq.mk
#
# makes $(NAME).module.wasm. `quiver plugin build DIR` runs this, adds manifest.json to it, and writes $(NAME).wasm.
CC_WASM ?= $(firstword $(foreach c,clang-19 clang-18 clang-17 clang,$(if $(shell command -v $(c) 2>/dev/null),$(c))))
PQ_DIR  := $(dir $(lastword $(MAKEFILE_LIST)))
PAGES   ?= 16
STACK   ?= 16384

# No SIMD unless asked for; the features below are those that every host knows.
PQ_CFLAGS  = --target=wasm32 -std=c11 -O2 -nostdlib -ffreestanding -fvisibility=hidden -Wall -Wextra -Wno-unused-parameter \
             -mbulk-memory -msign-ext -mnontrapping-fptoint -mmutable-globals $(SIMD:%=-msimd128) -I$(PQ_DIR)
PQ_LDFLAGS = -Wl,--no-entry -Wl,--strip-debug -Wl,-z,stack-size=$(STACK) -Wl,--max-memory=$(shell expr $(PAGES) \* 65536) -Wl,--gc-sections

$(NAME).module.wasm: $(SRC) $(wildcard *.h) $(PQ_DIR)pq.h
	$(if $(CC_WASM),,$(error no clang found: install clang and lld, or set CC_WASM))
	$(CC_WASM) $(PQ_CFLAGS) $(CFLAGS) $(PQ_LDFLAGS) -o $@ $(SRC)
