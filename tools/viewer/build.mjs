// Writes the page's template: node build.mjs FILE.  The same sources and versions give the same bytes.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const read = (...parts) => readFileSync(join(here, ...parts), "utf-8").trim();

const bundled = await build({
  entryPoints: [join(here, "src", "main.js")], bundle: true, minify: true, format: "iife", target: "es2022", charset: "ascii",
  legalComments: "none", write: false, absWorkingDir: here,
});
const script = bundled.outputFiles[0].text.trim();
const styled = await build({
  entryPoints: [join(here, "src", "style.css")], minify: true, target: "chrome123", legalComments: "none", write: false,
  absWorkingDir: here,
});
if (/<\/script|<!--/i.test(script)) throw new Error("the script would end early in its page");

const hash = createHash("sha256").update(script).digest("base64");
// Nothing is loaded from anywhere, and no other script runs, whatever stands in the page.
const policy =
  `default-src 'none'; script-src 'sha256-${hash}'; style-src 'unsafe-inline'; img-src data: blob:; ` +
  "base-uri 'none'; form-action 'none'";
// What it is made of, so that a test can tell an old template from a new one.
const sources = createHash("sha256");
for (const name of ["build.mjs", "package.json", "package-lock.json", ...readdirSync(join(here, "src")).sort().map((each) => `src/${each}`)])
  sources.update(readFileSync(join(here, name)));
const parts = {
  policy, script, style: styled.outputFiles[0].text.trim(),
  licence: `Made by tools/build_viewer.sh from sources of sha256 ${sources.digest("hex")}, with three.js:\n\n${read("node_modules", "three", "LICENSE")}`,
};
const page = read("src", "page.html").replace(/@(policy|script|style|licence)@/g, (_, name) => parts[name]);
writeFileSync(process.argv[2], `${page}\n`);
