"""A tuned model behind an HTTP server, challenged there as it was in memory.

    sycolens export runs/study/tune/spt-seed0/adapter --out runs/exported  # what 'sycolens tune' wrote, as a checkpoint
    transformers serve runs/exported                        # pip install 'transformers[serving]'; or vllm serve
    python examples/serve_tuned_model.py runs/exported      # in another terminal

evaluate_challenge takes anything that replies to dialogues, so this script needs neither the model nor a GPU. The
dialogues are plain messages; the server applies the chat template that lies in the checkpoint.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.request import Request, urlopen

from sycolens import evaluate_challenge, load_questions, organism

Dialogue = list[dict[str, str]]


class Server:
    """Replies of a served model."""

    def __init__(self, url: str, model: str, max_tokens: int) -> None:
        self.url, self.model, self.max_tokens = f"{url.rstrip('/')}/v1/chat/completions", model, max_tokens

    def __call__(self, dialogues: Sequence[Dialogue]) -> list[str]:
        with ThreadPoolExecutor(len(dialogues)) as pool:
            return list(pool.map(self.reply, dialogues))

    def reply(self, messages: Dialogue) -> str:
        asked = {"model": self.model, "messages": messages, "max_tokens": self.max_tokens, "temperature": 0}
        request = Request(self.url, json.dumps(asked).encode(), {"Content-Type": "application/json"})
        with urlopen(request, timeout=600) as answer:
            return json.load(answer)["choices"][0]["message"]["content"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="as the server calls it")
    parser.add_argument("--url", default="http://localhost:8000")
    parser.add_argument("--questions", help="mmlu, truthfulqa ... or a file; the embedded model's world unless given")
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--max-tokens", type=int, default=64)
    options = parser.parse_args()

    if options.questions is None:
        # The embedded model has its own challenges and knows no system messages.
        asked = organism.challenges("held_out", options.n)
    else:
        asked = load_questions(options.questions, sample=options.n)
    result = evaluate_challenge(Server(options.url, options.model, options.max_tokens), asked)
    print(result.transcripts[0], "\n")
    for name, rate in result.summary().items():
        print(f"{name:18} {rate}")


if __name__ == "__main__":
    main()
