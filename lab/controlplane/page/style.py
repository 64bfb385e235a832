"""How the page looks, by day and by night, and the policy that lets a browser use this and nothing else."""

import base64
import hashlib
from typing import Final

from lab.controlplane.page.html import Style

_CSS: Final = """
:root { color-scheme: light dark; --line: #d8dee6; --soft: #f4f6f9; --text: #1c2430; --dim: #5b6675;
  --link: #1f5fbf; --good: #1a7f4b; --wait: #96690a; --bad: #c02b3a; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --line: #2c3542; --soft: #1a212b; --text: #e3e8ef;
  --dim: #93a0b2; --link: #7cb1ff; --good: #4cc38a; --wait: #e0b04a; --bad: #ff7b86; --paper: #11161d; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 84rem; padding: 1.25rem 1.5rem 3rem; background: var(--paper);
  color: var(--text); font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
a { color: var(--link); }
header { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; align-items: baseline; }
h1 { font-size: 1.35rem; margin: 0; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
h2 small, .dim { color: var(--dim); font-weight: normal; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: .75rem 0; }
form { display: flex; gap: .5rem; margin: .75rem 0; max-width: 40rem; }
input { flex: 1; min-width: 8rem; padding: .35rem .6rem; border: 1px solid var(--line); border-radius: 6px;
  background: var(--soft); color: inherit; font: inherit; }
button { padding: .35rem .9rem; border: 1px solid var(--line); border-radius: 6px; background: var(--soft);
  color: inherit; font: inherit; }
.frame { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .75rem; text-align: left; vertical-align: top; border-top: 1px solid var(--line);
  overflow-wrap: break-word; max-width: 26rem; }
thead th { border-top: 0; background: var(--soft); color: var(--dim); font-size: .8rem;
  text-transform: uppercase; letter-spacing: .04em; white-space: nowrap; }
td div + div { margin-top: .1rem; }
code { font: .87em/1.4 ui-monospace, "DejaVu Sans Mono", monospace; }
.good { color: var(--good); } .wait { color: var(--wait); } .bad { color: var(--bad); }
.good, .wait, .bad { font-weight: 600; }
span.good, span.wait, span.bad { white-space: nowrap; }
.empty { color: var(--dim); padding: .6rem .75rem; margin: 0; }
"""

STYLE: Final = Style(_CSS)

_HASH: Final = base64.b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()

HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Were markup of somebody else's ever to come through, no browser would run or load a thing of it."""
