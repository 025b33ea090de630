"""Names that people with bad intentions give to files, areas and networks. What runs a script sets window.pwned."""

from urllib.parse import quote

_RUN = "window.pwned=1"
_TOP = f"{_RUN};parent.pwned=1;top.pwned=1"
NAMES = (
    "../../../../tmp/canary", "..", "/etc/passwd", "..\\..\\canary", "a/../../canary", "~/canary", "a\0.tif",
    "A" * 4096,
    "\u202egpj.exe", "\u2066\u2069\u200f\ufeff", f"${{{_TOP}}}", f"`${{{_TOP}}}`", f"<img src=x onerror='{_TOP}'>",
    f"<script>{_TOP}</script>", f"</script><script>{_TOP}</script>", f"\"><svg onload='{_TOP}'>",
    f"' onmouseover='{_TOP}", f"javascript:{_TOP}", f"[click](javascript:{_TOP})",
    f"<iframe srcdoc='<script>{_TOP}</script>'>",
    f"{{{{ {_RUN} }}}}", "{% raw %}{{ 7*7 }}", "\r\nSet-Cookie: pwned=1\r\n\r\n<html>", "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0", "-->]]><!--", f"*/{_TOP}//", f"\\u003cscript\\u003e{_TOP}", "%00%2e%2e%2f%0d%0a",
    f"<math><mtext><style><img src=x onerror={_TOP}>", "${jndi:ldap://127.0.0.1/a}", "'; DROP TABLE jobs; --",
    "$\\href{javascript:alert(1)}{x}$", ":material/home: :red[x] <br>", quote("<img src=x onerror=1>"),
)  # fmt: skip
