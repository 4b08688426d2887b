/** The end of the present turn. */
const resolved = Promise.resolve()

/** Runs `task` once the present turn ends: `queueMicrotask`, where the platform's types need not have it. */
export const microtask = (task: () => void): void => {
  resolved.then(task)
}
