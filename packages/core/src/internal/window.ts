/**
 * What a collector knows of its group, without Effect: what was fetched, in which batches it is handed out, what became
 * of each, and how far the watermark may move. Sequences are plain numbers here, times are milliseconds.
 *
 * committed ≤ watermark ≤ fetched, each monotonic; fetched − watermark ≤ maxReadAhead; the watermark moves only over a
 * contiguous run of what was settled. A verb that is refused has changed nothing.
 */

/** One value of the log. `size` is in bytes. */
export interface Item<out E> {
  readonly sequence: number
  readonly at: number
  readonly size: number
  /** Why it cannot be handed out, where it cannot: it is rejected at once. */
  readonly unreadable: string | undefined
  readonly entry: E
}

/**
 * A contiguous run of values with one fate. Ready: to be handed out, from `due` on. InFlight: handed out. Rejecting: to be
 * put aside, and not settled before that is done. Settled: the watermark may pass it.
 */
export class Piece<E> {
  readonly items: ReadonlyArray<Item<E>>
  state: "Ready" | "InFlight" | "Rejecting" | "Settled" = "Ready"
  /** How often it was handed out. */
  attempt: number
  /** Where its attempt is to outlive a crash: the version that is to be committed before it is handed out. Else 0. */
  mark = 0
  due = 0
  /** The last sign of life of whoever has it. */
  sign: number
  reason = ""
  /** The batch that it was cut from, which was handed out as a whole before. */
  cutFrom: Piece<E> | undefined
  constructor(items: ReadonlyArray<Item<E>>, attempt: number, sign: number) {
    this.items = items
    this.attempt = attempt
    this.sign = sign
  }
  get first(): number {
    return this.items[0]!.sequence
  }
  get last(): number {
    return this.items[this.items.length - 1]!.sequence
  }
}

export interface WindowOptions {
  /** Every sequence at or below it is settled already; -1 for none. */
  readonly committed: number
  /** How often sequences above it were tried by earlier holders. */
  readonly attempts: ReadonlyMap<number, number>
  readonly batchMax: number
  readonly batchBytesMax: number
  /** How long a batch that is not full waits for more. */
  readonly batchWithin: number
  readonly maxReadAhead: number
  readonly maxInFlight: number
  /** Infinity where there is no limit. */
  readonly maxAttempts: number
  readonly order: "any" | "strict"
  /**
   * Whether attempts must outlive a crash: all from the second on, and the first of what an earlier holder may have had.
   */
  readonly remembersAttempts: boolean
}

/** How a verb names a batch: what it was handed out with. */
export interface Delivery {
  readonly first: number
  readonly last: number
  readonly attempt: number
}
export type Refusal = "AlreadyAcked" | "AckOutOfRange" | "AckOutOfOrder"

/** What a commit is to store. */
export interface Uncommitted {
  readonly through: number
  readonly attempts: ReadonlyMap<number, number>
  readonly version: number
}

export class Window<E> {
  readonly options: WindowOptions
  committed: number
  watermark: number
  fetched: number
  inFlight = 0
  /** Settled one way or another, in values. */
  acknowledged = 0
  rejected = 0
  /** Batches given back. */
  released = 0
  /** Values that had expired before they were fetched. */
  expired = 0
  /** Acks and rejections since the last commit began. */
  settledSinceCommit = 0
  /** When the watermark moved last, or something was fetched after it had caught up. */
  movedAt = 0
  /** No more will be fetched: what waits for a fuller batch is handed out. */
  ended = false
  /** From the watermark on, in order, without gaps; what is fetched and in no batch yet is in `fresh`. */
  private readonly pieces: Array<Piece<E>> = []
  private readonly byFirst = new Map<number, Piece<E>>()
  private readonly ready = new Set<Piece<E>>()
  private readonly rejecting = new Set<Piece<E>>()
  private fresh: Array<{ readonly item: Item<E>; readonly since: number }> = []
  private freshBytes = 0
  /** Of sequences not fetched yet. */
  private readonly recovered: Map<number, number>
  /** Up to here an earlier holder may have had values in hand. */
  private readonly suspectUntil: number
  private version = 0
  private committedVersion = 0

  constructor(options: WindowOptions) {
    this.options = options
    this.committed = this.watermark = this.fetched = options.committed
    this.recovered = new Map(options.attempts)
    this.suspectUntil = options.committed + 2 * options.maxReadAhead
  }

  /**
   * How many values may be fetched now. Besides `maxReadAhead`, at most twice that is fetched beyond what is committed:
   * so much at most is delivered again after a crash, also where commits are slow.
   */
  room(): number {
    const { maxReadAhead } = this.options
    return Math.max(0, Math.min(this.watermark + maxReadAhead, this.committed + 2 * maxReadAhead) - this.fetched)
  }

  /** What was read from `fetched + 1` on. */
  push(items: ReadonlyArray<Item<E>>, now: number): void {
    if (this.watermark === this.fetched && items.length > 0) this.movedAt = now
    for (const item of items) {
      if (item.sequence !== this.fetched + 1) {
        throw new Error(`collector: expected sequence ${this.fetched + 1} of the log, got ${item.sequence}`)
      }
      this.fetched = item.sequence
      const tried = this.recovered.get(item.sequence) ?? 0
      this.recovered.delete(item.sequence)
      if (tried === 0 && item.unreadable === undefined) {
        this.fresh.push({ item, since: now })
        this.freshBytes += item.size
        continue
      }
      // Batches are formed in order of sequence: what came before this one is closed to more.
      while (this.fresh.length > 0) this.form(now)
      this.recover(item, tried, now)
    }
  }
  private recover(item: Item<E>, tried: number, now: number): void {
    const { batchMax, maxAttempts } = this.options
    const before = this.pieces.at(-1)
    // Those that were tried together are tried together, until the last attempt, which each value has for itself.
    if (
      item.unreadable === undefined && before !== undefined && before.state === "Ready" && before.attempt === tried
      && before.mark === 0 && before.due === 0 && before.last === item.sequence - 1 && before.items.length < batchMax
      && tried + 1 < maxAttempts
    ) {
      this.replace(before, [new Piece([...before.items, item], tried, now)])
      return
    }
    const piece = new Piece([item], tried, now)
    this.add(piece)
    if (item.unreadable !== undefined) this.reject(piece, item.unreadable)
    else if (tried >= maxAttempts) this.reject(piece, "whoever held it ended during its last attempt")
  }
  /** Goes on at `next`: what is between has expired. Only where nothing is held. */
  skipTo(next: number, now: number): void {
    if (this.watermark !== this.fetched) throw new Error("collector: skipped over what is still held")
    this.expired += next - 1 - this.fetched
    this.fetched = this.watermark = next - 1
    for (const sequence of this.recovered.keys()) if (sequence < next) this.recovered.delete(sequence)
    this.movedAt = now
    this.version++
  }

  /**
   * Hands out the next batch; or says when to ask again; or undefined, where that depends on what others do; or "Commit",
   * where a batch can be handed out once what is uncommitted is committed. What was given back goes ahead of what is new.
   * `isFull`: the log takes no more values, and all that it has are fetched, so that no batch can become fuller.
   */
  next(now: number, isFull = false): Piece<E> | number | "Commit" | undefined {
    const { batchBytesMax, batchMax, batchWithin, maxInFlight, order } = this.options
    if (this.inFlight >= maxInFlight) return undefined
    let best: Piece<E> | undefined
    let soonest = Infinity
    let marked: Piece<E> | undefined
    for (const piece of this.ready) {
      // In strict order nothing overtakes a batch that waits for its next attempt.
      if (order === "strict") best = best === undefined || piece.first < best.first ? piece : best
      // Someone is to hand it out; another is marked meanwhile, and they are committed at once.
      else if (piece.mark > this.committedVersion) {
        marked = marked === undefined || isAhead(piece, marked)
          ? piece
          : marked
      } else if (piece.due > now) soonest = Math.min(soonest, piece.due)
      else if (best === undefined || isAhead(piece, best)) best = piece
    }
    if (best !== undefined) return best.due > now ? best.due : this.handOut(best, marked, now)
    const [oldest] = this.fresh
    if (oldest !== undefined) {
      const full = this.fresh.length >= batchMax || this.freshBytes >= batchBytesMax || this.room() === 0 || this.ended
        || isFull
      if (full || now >= oldest.since + batchWithin) return this.handOut(this.form(now), marked, now)
      soonest = Math.min(soonest, oldest.since + batchWithin)
    }
    return marked !== undefined ? "Commit" : soonest === Infinity ? undefined : soonest
  }
  /** A batch of what is fresh: at least one value, then as many as fit. */
  private form(now: number): Piece<E> {
    const { batchBytesMax, batchMax } = this.options
    let count = 0
    let bytes = 0
    while (count < this.fresh.length && count < batchMax) {
      const { size } = this.fresh[count]!.item
      if (count > 0 && bytes + size > batchBytesMax) break
      bytes += size
      count++
    }
    const piece = new Piece(this.fresh.splice(0, count).map(({ item }) => item), 0, now)
    this.freshBytes -= bytes
    this.add(piece)
    return piece
  }
  private add(piece: Piece<E>): void {
    this.pieces.push(piece)
    this.byFirst.set(piece.first, piece)
    this.ready.add(piece)
  }
  private handOut(piece: Piece<E>, marked: Piece<E> | undefined, now: number): Piece<E> | "Commit" {
    if (piece.mark === 0 && this.options.remembersAttempts && (piece.attempt > 0 || piece.first <= this.suspectUntil)) {
      piece.mark = ++this.version
    }
    if (piece.mark > this.committedVersion || (marked !== undefined && isAhead(marked, piece))) return "Commit"
    this.ready.delete(piece)
    piece.state = "InFlight"
    piece.attempt++
    piece.sign = now
    this.inFlight++
    return piece
  }

  /** The batch that a verb means, if it may settle it. */
  find(delivery: Delivery): Piece<E> | Refusal {
    const { attempt, first, last } = delivery
    if (!(first <= last) || first < 0 || last > this.fetched) return "AckOutOfRange"
    if (last <= this.watermark) return "AlreadyAcked"
    // What is left of a batch that was given back since, and divided, says so.
    const { cutFrom } = this.byFirst.get(Math.max(first, this.watermark + 1)) ?? {}
    if (cutFrom !== undefined && cutFrom.first === first && cutFrom.last === last && cutFrom.attempt >= attempt) {
      return "AlreadyAcked"
    }
    const piece = this.byFirst.get(first)
    if (piece === undefined || piece.last !== last) return "AckOutOfRange"
    if (attempt > piece.attempt) return "AckOutOfRange"
    return piece.state === "InFlight" && piece.attempt === attempt ? piece : "AlreadyAcked"
  }
  /** As `find`, for an ack or a rejection by hand, which `order` may forbid. */
  findInOrder(delivery: Delivery): Piece<E> | Refusal {
    const found = this.find(delivery)
    return typeof found !== "string" && this.options.order === "strict" && found !== this.pieces[0]
      ? "AckOutOfOrder"
      : found
  }
  ack(piece: Piece<E>, now: number): void {
    this.leaveFlight(piece)
    this.acknowledged += piece.items.length
    this.settle(piece, now)
  }
  /**
   * Gives it back, to be handed out again from `due` on. `counts`: whether this was an attempt. After the last attempt
   * but one each value goes on for itself, and after the last it is rejected.
   */
  release(piece: Piece<E>, due: number, counts: boolean, reason: string): void {
    const { maxAttempts } = this.options
    this.leaveFlight(piece)
    this.released++
    this.version++
    if (!counts) piece.attempt--
    piece.mark = 0
    piece.due = due
    if (counts && piece.attempt >= maxAttempts) return this.reject(piece, reason)
    piece.state = "Ready"
    this.ready.add(piece)
    if (piece.items.length > 1 && piece.attempt > 0 && piece.attempt + 1 >= maxAttempts) {
      this.replace(
        piece,
        piece.items.map((item) => Object.assign(new Piece([item], piece.attempt, piece.sign), { due, cutFrom: piece }))
      )
    }
  }
  /** It is to be put aside; `takeRejected` hands it to whoever does that. */
  rejectInFlight(piece: Piece<E>, reason: string): void {
    this.leaveFlight(piece)
    this.reject(piece, reason)
  }
  private reject(piece: Piece<E>, reason: string): void {
    this.ready.delete(piece)
    piece.state = "Rejecting"
    piece.reason = reason
    this.rejecting.add(piece)
  }
  /** The oldest that waits to be put aside. */
  takeRejected(): Piece<E> | undefined {
    for (const piece of this.rejecting) {
      this.rejecting.delete(piece)
      return piece
    }
    return undefined
  }
  /** It has been put aside, or dropped as asked. */
  putAside(piece: Piece<E>, now: number): void {
    this.rejected += piece.items.length
    this.settle(piece, now)
  }
  inProgress(delivery: Delivery, now: number): void {
    const found = this.find(delivery)
    if (typeof found !== "string") found.sign = now
  }

  private leaveFlight(piece: Piece<E>): void {
    if (piece.state !== "InFlight") throw new Error(`collector: batch ${piece.first} is ${piece.state}, not in flight`)
    this.inFlight--
  }
  private settle(piece: Piece<E>, now: number): void {
    piece.state = "Settled"
    this.settledSinceCommit++
    let passed = 0
    while (this.pieces[passed]?.state === "Settled") {
      const { first, last } = this.pieces[passed]!
      this.byFirst.delete(first)
      this.watermark = last
      passed++
    }
    if (passed === 0) return
    this.pieces.splice(0, passed)
    this.movedAt = now
    this.version++
  }
  private replace(piece: Piece<E>, by: ReadonlyArray<Piece<E>>): void {
    this.ready.delete(piece)
    this.byFirst.delete(piece.first)
    const at = this.pieces.indexOf(piece)
    // Not `splice(at, 1, ...by)`: each of them would be an argument, on the stack.
    const after = this.pieces.splice(at).slice(1)
    for (const part of by) this.pieces.push(part)
    for (const later of after) this.pieces.push(later)
    for (const part of by) {
      this.byFirst.set(part.first, part)
      this.ready.add(part)
    }
  }

  /** Whether there is something that a commit would change. */
  isDirty(): boolean {
    return this.version !== this.committedVersion
  }
  uncommitted(): Uncommitted {
    this.settledSinceCommit = 0
    const attempts = new Map(this.recovered)
    for (const piece of this.pieces) {
      const tried = triesOf(piece)
      if (tried > 0) { for (const { sequence } of piece.items) attempts.set(sequence, tried) }
    }
    return { through: this.watermark, attempts, version: this.version }
  }
  /** What `uncommitted` answered with is stored. */
  commit({ through, version }: Uncommitted): void {
    this.committed = Math.max(this.committed, through)
    this.committedVersion = Math.max(this.committedVersion, version)
  }

  /** The oldest batch or value that holds the watermark back. */
  blocking():
    | { readonly sequence: number; readonly at: number; readonly sign: number; readonly state: string }
    | undefined
  {
    const [piece] = this.pieces
    if (piece !== undefined) {
      return { sequence: piece.first, at: piece.items[0]!.at, sign: piece.sign, state: piece.state }
    }
    const [fresh] = this.fresh
    return fresh && { sequence: fresh.item.sequence, at: fresh.item.at, sign: fresh.since, state: "Fetched" }
  }
  /** How many values are not settled although a later one is. */
  holes(): number {
    let holes = 0
    let since = 0
    for (const { items, state } of this.pieces) {
      if (state !== "Settled") since += items.length
      else {
        holes += since
        since = 0
      }
    }
    return holes
  }
  /** How long ago the oldest value that is not settled was appended. */
  oldestUnackedAge(now: number): number {
    const blocking = this.blocking()
    return blocking === undefined ? 0 : Math.max(0, now - blocking.at)
  }
  /** Whether something waits to be put aside. */
  get hasRejected(): boolean {
    return this.rejecting.size > 0
  }
  /** All that is in flight, as if it had not been handed out. */
  giveBackAll(now: number): void {
    for (const piece of this.pieces) {
      if (piece.state === "InFlight") this.release(piece, now, false, "")
      else if (piece.state === "Ready" && piece.mark > 0) {
        piece.mark = 0
        this.version++
      }
    }
  }
}

/** How often it has been tried, if the process ends now. A first attempt that is not marked is not remembered. */
const triesOf = <E>({ attempt, mark, state }: Piece<E>): number => {
  if (state === "Settled" || (state === "InFlight" && mark === 0 && attempt === 1)) return 0
  return state === "Ready" && mark > 0 ? attempt + 1 : attempt
}
const isAhead = <E>(a: Piece<E>, b: Piece<E>): boolean =>
  a.attempt > 0 === b.attempt > 0 ? a.first < b.first : a.attempt > 0
