#!/usr/bin/env python3
"""A small serving benchmark in the manner of vLLM's benchmark_serving.py, with its measured phase marked.

Sends completions to an OpenAI-compatible server, a few at a time, and writes a result with joules per token:

    python3 example_serving.py --base-url http://127.0.0.1:8000 --num-prompts 64 --max-concurrency 16 --save-result r.json
"""

import argparse
import asyncio
import json
import time
import urllib.request

import wattmark


def complete(args, prompt):
    """One request; the counts are the server's own."""
    body = json.dumps({"model": args.model, "prompt": prompt, "max_tokens": args.output_len, "ignore_eos": True})
    request = urllib.request.Request(
        args.base_url + "/v1/completions", body.encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=600) as answer:
        usage = json.load(answer)["usage"]
    return usage["prompt_tokens"], usage["completion_tokens"]


async def benchmark(args):
    turn = asyncio.Semaphore(args.max_concurrency)

    async def one(i):
        async with turn:
            return await asyncio.to_thread(complete, args, f"{i}: " + "wattmark " * args.input_len)

    await one(-1)  # warm up, outside the window

    # From here to the end of the block is what is measured. Without a daemon all goes on as before.
    async with wattmark.window(run=args.run) as w:
        start = time.time()
        usage = await asyncio.gather(*(one(i) for i in range(args.num_prompts)))
        duration = time.time() - start
        result = {
            "completed": len(usage),
            "total_input_tokens": sum(i for i, _ in usage),
            "total_output_tokens": sum(o for _, o in usage),
            "duration": duration,
        }
        w.count(**{name: result[name] for name in ("completed", "total_input_tokens", "total_output_tokens")})

    result["output_throughput"] = result["total_output_tokens"] / duration
    if w.valid:
        for key in ("avg_total_gpu_power_w", "joules_per_output_token", "joules_per_output_token_bound"):
            result[key] = w.result[key]
    else:
        result["power_problem"] = w.result["reasons"] if w.result else str(w.error)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", default="http://127.0.0.1:8000")
    parser.add_argument("--model", default="default")
    parser.add_argument("--run", help="name of the window; default: generated")
    parser.add_argument("--num-prompts", type=int, default=64)
    parser.add_argument("--max-concurrency", type=int, default=16)
    parser.add_argument("--input-len", type=int, default=256)
    parser.add_argument("--output-len", type=int, default=128)
    parser.add_argument("--save-result", metavar="FILE")
    args = parser.parse_args()
    result = asyncio.run(benchmark(args))
    text = json.dumps(result, indent=2)
    print(text)
    if args.save_result:
        with open(args.save_result, "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
