#!/usr/bin/env bash
# One expects torch.autocast("cpu") in bfloat16 to be about as fast as float32 where the processor has no bfloat16, or a
# warning; and torch's own answer, torch.ops.mkldnn._is_mkldnn_bf16_supported(), to tell where it pays. With AVX2 alone a
# 3 x 3 convolution takes tens of times as long, without a word. With AVX-512 that lacks its BF16 extension the answer is
# True, and it still takes longer than float32. ONEDNN_MAX_CPU_ISA makes a processor behave as such a one. Here autoencoder
# and renderer trained 11.8 times slower on AVX2; training/engine/precision.py asks, and then measures.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6

cat > "$folder/time.py" <<'PY'
import json, time, warnings
import torch

warnings.simplefilter("error")  # a word would end this
torch.set_num_threads(1)
convolution, pictures = torch.nn.Conv2d(32, 32, 3, padding=1), torch.randn(4, 32, 64, 64)


def milliseconds(half):
    with torch.no_grad(), torch.autocast("cpu", enabled=half):
        convolution(pictures)
        best = float("inf")
        for _ in range(5):
            start = time.process_time()
            convolution(pictures)
            best = min(best, time.process_time() - start)
    return 1e3 * best


single, half = milliseconds(False), milliseconds(True)
supported = torch.ops.mkldnn._is_mkldnn_bf16_supported()
print(json.dumps({"torch": torch.__version__, "supported": supported, "fp32_ms": single, "bf16_ms": half}))
PY
avx2=$(ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 "$folder/venv/bin/python" "$folder/time.py")
echo "AVX2:                 $avx2"
avx512=""
if grep -qw avx512vl /proc/cpuinfo; then
    avx512=$(ONEDNN_MAX_CPU_ISA=AVX512_CORE "$folder/venv/bin/python" "$folder/time.py")
    echo "AVX-512 without BF16: $avx512"
else
    echo "AVX-512 without BF16: not tried, this processor has no AVX-512"
fi
"$folder/venv/bin/python" - "$avx2" "$avx512" <<'PY'
import json, sys
avx2 = json.loads(sys.argv[1])
assert not avx2["supported"] and avx2["bf16_ms"] > 5 * avx2["fp32_ms"], "bfloat16 no longer costs five times on AVX2"
print(f"AVX2: {avx2['bf16_ms'] / avx2['fp32_ms']:.0f} times as long as float32, without a warning")
if sys.argv[2]:
    emulated = json.loads(sys.argv[2])
    assert emulated["supported"], "AVX-512 without BF16 is no longer called supported"
    assert emulated["bf16_ms"] > 1.2 * emulated["fp32_ms"], "there it is no longer slower"
    print(f"AVX-512 without BF16: 'supported', {emulated['bf16_ms'] / emulated['fp32_ms']:.1f} times as long")
PY
