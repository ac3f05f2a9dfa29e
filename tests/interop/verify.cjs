// Verifies a .tlog-proof with @sigstore/verify: its checkpoint, then the inclusion of the leaf.
// usage: node verify.cjs <folder with node_modules> <verifier key> <proof file> <leaf file>
"use strict";
const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");

const [folder, vkey, proofFile, leafFile] = process.argv.slice(2);
const inside = path.join(folder, "node_modules/@sigstore/verify/dist/tlog");
const { verifyCheckpoint } = require(path.join(inside, "checkpoint.js"));
const { verifyMerkleInclusion } = require(path.join(inside, "merkle.js"));

const [name, keyId, ...rest] = vkey.split("+");
const key = Buffer.from(rest.join("+"), "base64");
const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), key.subarray(1)]);
const logs = [
  {
    baseURL: name,
    logID: Buffer.from(keyId, "hex"),
    publicKey: crypto.createPublicKey({ key: spki, format: "der", type: "spki" }),
  },
];

const text = fs.readFileSync(proofFile, "utf8");
const blank = text.indexOf("\n\n");
const [format, index, ...hashes] = text.slice(0, blank).split("\n");
if (format !== "c2sp.org/tlog-proof@v1" || !/^index (0|[1-9][0-9]*)$/.test(index)) throw new Error("not a proof file");
const entry = {
  canonicalizedBody: fs.readFileSync(leafFile),
  inclusionProof: {
    logIndex: index.slice("index ".length),
    hashes: hashes.map((line) => Buffer.from(line, "base64")),
    checkpoint: { envelope: text.slice(blank + 2) },
  },
};
try {
  verifyMerkleInclusion(entry, verifyCheckpoint(entry, logs));
  console.log("verified");
} catch (error) {
  console.log(error.message);
  process.exitCode = 1;
}
