/** Refuses options that cannot be meant, in words that name whose they are. */

/** A capacity that the schema of a config would refuse. */
export const assertCapacity = (record: string, config: { readonly kind: string; readonly capacity?: number }): void => {
  if ("capacity" in config && !(Number.isInteger(config.capacity) && config.capacity! > 0)) {
    throw new RangeError(
      `record "${record}": the capacity of a ${config.kind} must be a positive integer, got ${config.capacity}`
    )
  }
}

/** A version that is none, or a migration from one that is not earlier. */
export const assertVersions = (record: string, version: number, migrations: object): void => {
  if (!(Number.isSafeInteger(version) && version >= 0)) {
    throw new RangeError(`record "${record}": its version must be a non-negative integer, got ${version}`)
  }
  for (const from of Object.keys(migrations)) {
    if (!(Number.isSafeInteger(Number(from)) && Number(from) >= 0 && Number(from) < version)) {
      throw new RangeError(`record "${record}": a migration must be from a version before ${version}, got ${from}`)
    }
  }
}

/** An option of `owner`, such as `record "orders"`, that is no positive integer. */
export const assertPositive = (owner: string, option: string, value: number): void => {
  if (!(Number.isSafeInteger(value) && value > 0)) {
    throw new RangeError(`${owner}: \`${option}\` must be a positive integer, got ${value}`)
  }
}
