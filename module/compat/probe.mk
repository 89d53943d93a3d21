# SPDX-License-Identifier: GPL-2.0-only
#
# Which kernel is this? Asked of its headers, not of its version, for
# distributions backport interfaces.
#
# Every compat/probe/NAME.c is compiled with the flags of the module itself.
# Where the compiler takes it without complaint about types, <have.h> defines
# HAVE_NAME (upper case). A probe is asked again when the kernel, the flags or
# its source changed. Two probes ask about the mechanism: self_pass has to
# compile and self_fail must not; kernel_range says which kernels are known.

have-dir := $(obj)/compat/generated
have := $(have-dir)/have.h
probe-names := $(sort $(basename $(notdir $(wildcard $(src)/compat/probe/*.c))))
probe-results := $(foreach p,$(probe-names),$(have-dir)/$(p).probe)
probe-upper = $(shell echo $(1) | tr a-z A-Z)

# Header packages are replaced in place by others of the same release.
probe-generated := $(wildcard $(addprefix $(objtree)/include/generated/, \
	autoconf.h utsrelease.h package.h uapi/linux/version.h))
probe-kernel := $(KERNELRELEASE)-$(firstword $(shell cat $(probe-generated) /dev/null | cksum))

# A type that does not match is only a warning to some compilers.
probe-flags = -fsyntax-only -Wno-error \
	$(foreach w,implicit-function-declaration implicit-int int-conversion \
		incompatible-pointer-types discarded-qualifiers \
		incompatible-pointer-types-discards-qualifiers \
		incompatible-function-pointer-types, \
		$(call cc-option,-Werror=$(w)))

quiet_cmd_probe = PROBE   $(basetarget)
      cmd_probe = \
	: $(probe-kernel); \
	if $(CC) $(c_flags) $(probe-flags) $< 2>$(@:.probe=.log); then \
		echo "$(pound)define HAVE_$(call probe-upper,$(basetarget)) 1"; \
	else \
		echo "/* HAVE_$(call probe-upper,$(basetarget)): no */"; \
	fi >$@; \
	rm -f $(depfile)

# The module's flags, not those of what is built into the kernel.
$(probe-results): part-of-module := y
$(probe-results): $(have-dir)/%.probe: $(src)/compat/probe/%.c FORCE
	$(call if_changed,probe)

probe-said = grep -q define $(have-dir)/$(1).probe
filechk_have = \
	if ! $(call probe-said,self_pass); then \
		echo "fusewb: the headers of kernel $(KERNELRELEASE) do not compile with $(strip $(CC)):" \
			"install the matching headers and compiler" \
			"($$(grep -m1 -i error $(have-dir)/self_pass.log))" >&2; \
		exit 1; \
	elif $(call probe-said,self_fail); then \
		echo "fusewb: $(strip $(CC)) accepts wrong types, so it cannot tell what kernel $(KERNELRELEASE) offers:" \
			"use the compiler that built the kernel" >&2; \
		exit 1; \
	elif ! $(call probe-said,kernel_range); then \
		echo "fusewb: kernel $(KERNELRELEASE) is not supported:" \
			"$$(sed -n 's/.*error[: ]*"\(.*\)".*/\1/p' $(have-dir)/kernel_range.log | head -n1)" >&2; \
		exit 1; \
	fi; \
	cat $(probe-results)

$(have): $(probe-results) FORCE
	$(call filechk,have)

$(addprefix $(obj)/,$(fusewb-y)): $(have)

targets += $(patsubst $(obj)/%,%,$(probe-results))
clean-files += compat/generated
