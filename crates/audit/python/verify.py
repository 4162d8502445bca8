#!/usr/bin/env python3
"""Verifies an Aegis audit log, or an export of one tenant, offline. Needs nothing but Python's standard library.

    verify.py FOLDER KEY[,KEY…] [--trusted CHECKPOINT] [--chain tenant/NAME]

FOLDER is the log's folder or an export, KEY the log's verifier key, NAME+ID+BASE64, from somewhere you trust: never from the folder.
CHECKPOINT is a file with the newest checkpoint that you have from elsewhere (control log, witness). Without it the log is shown to be
whole in itself, but neither complete nor the one that others were shown. With --chain the folder is an export of that chain. More
KEYs are those of later logs of the same node, which say what retention deleted here. Shares no code with the Rust verifier; written along RFC 6962,
8032, 8785, C2SP and docs/internals/audit.md. Prints one line of JSON; exit code 0 if everything holds, 1 if not."""
import argparse, base64, datetime, hashlib, json, os, re, sys

class Bad(Exception): ...  # what is wrong, and the first bad index where one can be told

def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

# ---- Ed25519 (RFC 8032), strict: no second encodings, no points of small order
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P

def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    return (b - a) * (d - c) % P, (d + c) * (b + a) % P, (d - c) * (d + c) % P, (b - a) * (b + a) % P

def times(n, p):
    q = (0, 1, 1, 0)
    while n:
        q, p, n = add(q, p) if n & 1 else q, add(p, p), n >> 1
    return q

def point(data):
    sign, y = int.from_bytes(data, "little") >> 255, int.from_bytes(data, "little") & (2**255 - 1)
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    x = x if x * x % P == xx else x * pow(2, (P - 1) // 4, P) % P
    bad, x = y >= P or x * x % P != xx or (x == 0 and sign), P - x if x & 1 != sign else x
    eight = times(8, (x, y, 1, x * y % P))
    if bad or (eight[0] == 0 and eight[1] == eight[2]):
        raise Bad("a key or signature is no point in its one encoding, or has small order")
    return x, y, 1, x * y % P

BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))

def signed(key, message, signature):
    s = int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    left, right = times(s, BASE), add(point(signature[:32]), times(h, point(key)))
    return len(signature) == 64 and s < L and all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))

def root_of(leaves):
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1", root_of(leaves[:half]), root_of(leaves[half:]))

def included(index, size, node, proof, root):
    last = size - 1
    for other in proof:
        if last == 0:
            return False
        if index & 1 or index == last:
            node = sha256(b"\1", other, node)
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            node = sha256(b"\1", node, other)
        index, last = index >> 1, last >> 1
    return last == 0 and index < size and node == root

def path(level, index, width):
    groups = f"{index % 1000:03}"
    while index >= 1000:
        index, groups = index // 1000, f"x{index // 1000 % 1000:03}/{groups}"
    return f"tile/{level}/{groups}" + ("" if width == 256 else f".p/{width}")

def tiles(entries):
    """Every tile and bundle that a log of these entries has."""
    files, level, row = {}, 0, [sha256(b"\0", entry) for entry in entries]
    for at in range(0, len(entries), 256):
        part = entries[at : at + 256]
        files[path("entries", at // 256, len(part))] = b"".join(b"\0\x20" + entry for entry in part)
    while row:
        parts = [row[at : at + 256] for at in range(0, len(row), 256)]
        files.update({path(level, at, len(part)): b"".join(part) for at, part in enumerate(parts)})
        level, row = level + 1, [root_of(part) for part in parts if len(part) == 256]
    return files

def read(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()

def b64(text):
    data = base64.b64decode(text, validate=True)
    return data if base64.b64encode(data).decode() == text else b""  # a second spelling is as good as none

def checkpoint(note, key):
    """Origin, size and root of a checkpoint, if the key signed it."""
    name, key_id, key = key.split("+", 2)
    key = b64(key)
    if len(key) != 33 or key[0] != 1 or sha256(name.encode(), b"\n", key)[:4].hex() != key_id:
        raise Bad("the key is no verifier key")
    text, _, lines = note.decode().rpartition("\n\n")
    text, found = text + "\n", False
    for line in lines.split("\n")[:-1]:
        match = re.fullmatch("\u2014 ([!-*,-~]+) ([A-Za-z0-9+/=]+)", line)
        blob = b64(match[2]) if match else b""
        if len(blob) < 5 or (match[1] == name and blob[:4].hex() == key_id and not signed(key[1:], text.encode(), blob[4:])):
            raise Bad("the checkpoint's signature is wrong")
        found |= match[1] == name and blob[:4].hex() == key_id
    match = re.fullmatch("([^\n]+)\n(0|[1-9][0-9]*)\n([A-Za-z0-9+/=]{44})\n", text)
    if not found or not lines.endswith("\n") or not match or match[1] != name:
        raise Bad("the checkpoint is not signed by this log")
    return name, int(match[2]), b64(match[3])

def record(line, index):
    """A record, in its one spelling: JSON by RFC 8785, without decimals."""
    try:
        it = json.loads(line, parse_float=lambda text: int("no decimals: " + text), parse_constant=lambda text: int(text))
        again = json.dumps(it, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        if again == line and set(it) | {"prev"} == {"at", "chain", "id", "prev", "seq", "v", "what"} and it["v"] == 1:
            return it
    except (ValueError, TypeError, RecursionError):
        pass
    raise Bad("what was logged here is no record", index)

def folder_of(chain):
    return "tenant-" + sha256(chain[7:].encode()).hex()[:32] if chain.startswith("tenant/") else chain

def opens(line, chain, seq, prev, segment, ends):
    """The index of the segment's end, if it says that the chain ends with its record `seq`."""
    _, end, at, entry, place, key, proof = line.decode().split(" ")
    end, place, key = int(end), int(place), bytes.fromhex(key)
    proof = [bytes.fromhex(part) for part in proof.split(",") if part]
    said = ends.get(end, {"segment": -1})
    again = f"head {end} {seq} {prev} {place} {key.hex()} " + ",".join(part.hex() for part in proof)
    parts = (b"aegis/head/v1", key, chain.encode(), seq.to_bytes(8, "big"), bytes.fromhex(entry))
    node = sha256(*(len(part).to_bytes(8, "big") + part for part in parts))
    if (again.encode(), said["segment"]) == (line, segment) and included(place, said["heads"], node, proof, bytes.fromhex(said["heads_root"])):
        return end

def pruned(folder, name, origin, entries, ends, keys):
    """What retention deleted of a chain, as a log of this node says under its key: chain, newest segment, seq, entry, what follows."""
    first, head, said, proof, note, rest = read(folder, f"segments/{name}/pruned").decode().split("\n")
    segment, chain = int(first.split(" ")[2]), first.split(" ")[3]
    index, text, note, proof = int(said.split(" ")[1]), said.split(" ", 2)[2].encode(), b64(note[5:]), proof[6:].split(",")
    it, by, proof = record(text, None), note.decode().split("\n")[0], [bytes.fromhex(part) for part in proof if part]
    what = it["what"]["pruning"]
    if not any(key.startswith(by + "+") for key in keys):
        raise Bad(f"{by} says that retention deleted records of {chain}, and its key was not given")
    _, size, root = checkpoint(note, next(key for key in keys if key.startswith(by + "+")))
    end = opens(head.encode(), chain, what["seq"], what["entry"], segment, ends)
    spelled = (first, said.split(" ")[:2], rest) == (f"aegis-pruned/v1 {origin} {segment} {chain}", ["record", str(index)], "")
    here = (what["log"], what["segment"], it["chain"]) == (origin, segment, chain) and folder_of(chain) == name != chain
    (node, life), (of_node, of_life) = by.rsplit("/", 1), origin.rsplit("/", 1)
    last = datetime.date.fromisoformat(what["now"][:10]) - datetime.timedelta(what["retention_days"])
    due = end is not None and ends[end]["time"] <= str(last) + what["now"][10:]  # not before retention was over
    holds = included(index, size, sha256(b"\0", sha256(text)), proof, root) and node == of_node and int(life) >= int(of_life)
    if not (spelled and here and due and holds) or (by == origin and entries[index : index + 1] not in ([], [sha256(text)])):
        raise Bad(f"segments/{name}/pruned does not prove that retention deleted what is missing")
    return chain, segment, what["seq"], what["entry"], end + 1

def walk(folder, name, origin, entries, ends, seen, gone, keys):
    """One chain from its first record to its last: its name, how many, and the newest end that vouches for it."""
    chain, seq, prev, after, upto = None, 0, None, 0, None
    files = sorted(os.listdir(os.path.join(folder, "segments", name)))
    if "pruned" in files:
        chain, cut, seq, prev, after = gone[name] = pruned(folder, name, origin, entries, ends, keys)
        upto, files = after - 1, [it for it in files if it != "pruned" and (len(it) != 12 or not it[:8].isdigit() or int(it[:8]) > cut)]
    for file in files:
        lines = read(folder, f"segments/{name}/{file}").split(b"\n")
        form, of, number, own = lines[0].decode().split(" ")
        segment = int(number)
        fits = (form, of, number, lines.pop()) == ("aegis-segment/v1", origin, str(segment), b"")
        if not fits or file != f"{segment:08}.seg" or folder_of(own) != name or chain not in (None, own):
            raise Bad(f"segments/{name}/{file} is no segment of this chain", after)
        chain, opening = own, lines.pop() if len(lines) > 1 and lines[-1].startswith(b"head ") else None
        for line in lines[1:]:
            number, _, text = line.partition(b" ")
            index = int(number) if re.fullmatch(b"0|[1-9][0-9]*", number) else len(entries)
            if index >= len(entries) or sha256(text) != entries[index]:
                raise Bad("the record is not the one that was logged", index if index < len(entries) else after)
            it = record(text, index)
            end = it["what"].get("segment_end")
            if index in seen or index < after or (it["chain"], it["seq"], it.get("prev")) != (chain, seq + 1, prev):
                raise Bad("the chain breaks here, or the record stands twice or out of order", index)
            if end and (chain, end["at"], end["segment"]) != ("log", index, segment):
                raise Bad("the end of a segment is out of place", index)
            ends.update({index: {**end, "time": it["at"]}} if end else {})
            seen.add(index)
            seq, prev, after = seq + 1, entries[index].hex(), index + 1
        upto = opens(opening or b"head 0 0  0  ", chain, seq, prev, segment, ends) if chain != "log" else None
        if (opening is None) != (chain == "log") or (chain != "log" and upto is None):
            raise Bad("the chain does not end where the log says", after)
    return chain, seq, upto

def verify(folder, keys, trusted, chain):
    origin, size, root = checkpoint(read(folder, "checkpoint"), keys[0])
    _, known_size, known_root = checkpoint(read("", trusted), keys[0]) if trusted else (origin, 0, sha256())
    if known_size > size:
        raise Bad("the log ends before the trusted checkpoint does", size)
    bundles = b"".join(read(folder, path("entries", at // 256, min(256, size - at))) for at in range(0, size, 256))
    entries = [bundles[34 * i + 2 : 34 * i + 34] for i in range(size)]
    wanted, nodes = tiles(entries), [sha256(b"\0", entry) for entry in entries]
    if root_of(nodes) != root:
        leaves = b"".join(read(folder, path(0, at // 256, min(256, size - at))) for at in range(0, size, 256))
        raise Bad("the entries are not those that were signed", next((i for i in range(size) if leaves[32 * i : 32 * i + 32] != nodes[i]), None))
    if root_of(nodes[:known_size]) != known_root:
        raise Bad("the log is not the one that the trusted checkpoint was signed over")
    for name, content in wanted.items():
        if read(folder, name) != content:
            raise Bad(f"{name} is not the tile of this log")
    whole = {name.split(".p/")[0]: content for name, content in wanted.items()}
    for where, _, names in os.walk(os.path.join(folder, "tile")):
        for name in (os.path.relpath(os.path.join(where, name), folder) for name in names):
            if name not in wanted and not whole.get(name.split(".p/")[0], b"").startswith(read(folder, name) or b"-"):
                raise Bad(f"{name} does not belong to the log")
    ends, seen, upto, chains, gone = {}, set(), {}, {}, {}
    names = sorted(os.listdir(os.path.join(folder, "segments")), key=lambda name: (name != "log", name))
    if chain and not set(names) <= {"log", folder_of(chain)}:
        raise Bad("the export holds other chains")
    for name in names:
        own, chains[own], upto[own] = walk(folder, name, origin, entries, ends, seen, gone, keys)
    last, missing = max(ends, default=-1), [index for index in range(size) if index not in seen]
    late = [index for index in missing if index >= max((after for *_, after in gone.values()), default=0)]
    if not chain and (late or len(missing) != sum(seq for _, _, seq, _, _ in gone.values())):
        raise Bad("the record is missing", late[0] if late else None)
    ended = bool(ends.get(last, {}).get("last"))
    cut = ended and any(end != last for own, end in upto.items() if own != "log")
    if last != size - 1 or (chain and chain not in chains) or cut:
        raise Bad("records are missing at the end", max(size - 1, 0))
    complete = None if not trusted else size if chain in (None, "log") else upto[chain] + 1
    return {"ok": True, "size": size, "records": len(seen), "chains": chains, "ended": ended, "complete_to": complete,
            "pruned": {own: seq for own, _, seq, _, _ in gone.values()}}

def main():
    parser = argparse.ArgumentParser()
    for name in ("folder", "key", "--trusted", "--chain"):
        parser.add_argument(name)
    it = parser.parse_args()
    try:
        report = verify(it.folder, it.key.split(","), it.trusted, it.chain)
    except (Bad, ValueError, KeyError, OSError, IndexError, TypeError, AttributeError, OverflowError) as bad:
        problem, index = (*bad.args, None)[:2] if isinstance(bad, Bad) else (f"malformed, or missing: {getattr(bad, 'filename', '')}", None)
        report = {"ok": False, "problem": problem, "index": index}
    print(json.dumps(report))
    return 0 if report["ok"] else 1

sys.exit(main())
