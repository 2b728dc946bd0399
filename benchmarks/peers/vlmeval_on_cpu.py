"""VLMEvalKit's run.py on a machine without CUDA; runs in its environment: vlmeval_on_cpu.py ARGUMENTS OF run.py.

Its Qwen2VLChat asks for a graphics card, for flash attention, and sends inputs to "cuda"; here these go to the CPU.
The MD5 of the published ChartQA file is not asked of ours. Nothing else is changed.
"""

import torch
import transformers
import vlmeval.dataset
import vlmeval.vlm.qwen2_vl.model as qwen
from transformers import BatchFeature

qwen.get_gpu_memory = lambda: [1]
torch.cuda.empty_cache = lambda: None
vlmeval.dataset.ImageVQADataset.DATASET_MD5.pop("ChartQA_TEST")

load = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained
move = BatchFeature.to


def on_cpu(path, **options):
    """The model in the checkpoint's dtype, with torch's own attention."""
    return load(path, **{**options, "device_map": "cpu", "attn_implementation": "sdpa"})


transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained = on_cpu
BatchFeature.to = lambda self, *place, **options: move(self, *("cpu" if p == "cuda" else p for p in place), **options)

if __name__ == "__main__":
    import vlmeval.run

    vlmeval.run.main()
