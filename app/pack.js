// Unpacks the packs of start/: zip files of stored members, compressed as a whole with gzip.
//
// A member is a view of the result, so nothing is copied. The zip format: PKWARE's APPNOTE.TXT, 4.3.

import { Failure } from "./failure.js";

const END = 0x06054b50; // signature of the end of the central directory
const ENTRY = 0x02014b50; // signature of one of its entries
const END_BYTES = 22; // of that end, without a comment

/** @param {ReadableStream<any>} pack @returns {Promise<Uint8Array>} the zip file in it */
export async function decompress(pack) {
  const zip = new Response(pack.pipeThrough(new DecompressionStream("gzip")));
  return new Uint8Array(await zip.arrayBuffer());
}

/** @typedef {{name: string, data: Uint8Array}} Member */

/** @param {Uint8Array} zip @returns {Generator<Member>} its members */
export function* membersOf(zip) {
  const view = new DataView(zip.buffer, zip.byteOffset, zip.byteLength);
  const text = new TextDecoder();
  const end = zip.byteLength - END_BYTES;
  if (end < 0 || view.getUint32(end, true) !== END) throw unreadable();
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  for (let k = 0; k < count; k++) {
    const stored = view.getUint16(at + 10, true) === 0;
    if (view.getUint32(at, true) !== ENTRY || !stored) throw unreadable();
    const size = view.getUint32(at + 24, true);
    const [name, extra, comment] = [28, 30, 32].map((field) => view.getUint16(at + field, true));
    const local = view.getUint32(at + 42, true);
    const begin = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    yield {
      name: text.decode(zip.subarray(at + 46, at + 46 + name)),
      data: zip.subarray(begin, begin + size),
    };
    at += 46 + name + extra + comment;
  }
}

/** Write members as files. @param {any} FS Emscripten's @param {string} folder @param {Member[]} members */
export function unpack(FS, folder, members) {
  const made = new Set();
  for (const { name, data } of members) {
    const path = folder + name;
    const parent = path.slice(0, path.lastIndexOf("/"));
    if (!made.has(parent)) FS.mkdirTree(parent);
    made.add(parent);
    FS.writeFile(path, data, { canOwn: true });
  }
}

/**
 * Write the pack itself, and where each member lies in it, for offcut.web.pack_finder.
 * @param {any} FS @param {Uint8Array} zip @param {Member[]} members
 */
export function index(FS, zip, members) {
  const lines = members.map(
    ({ name, data }) => `${name} ${data.byteOffset - zip.byteOffset} ${data.byteLength}\n`,
  );
  FS.writeFile("/lib/python.pack", zip, { canOwn: true });
  FS.writeFile("/lib/python.pack.index", lines.join(""));
}

/** One after the other; unlike a Blob, which goes through another process. @param {Uint8Array[]} chunks */
export function joined(chunks) {
  const data = new Uint8Array(chunks.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const chunk of chunks) {
    data.set(chunk, at);
    at += chunk.byteLength;
  }
  return data;
}

function unreadable() {
  return new Failure("IntegrityError", "the archive of modules has the wrong form", "rebuild dist/");
}
