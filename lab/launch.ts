import { KeyferryError } from '../src/errors.ts';
import { type LabConfig } from './config.ts';
import { type ServerName } from './server-modules.ts';

/** The binary that the lab was put up with. */
export function binaryOf(config: LabConfig, name: ServerName): string {
  const binary = config.binaries[name];
  if (binary === undefined) throw notPartOfThisLab(name);
  return binary;
}

export function notPartOfThisLab(name: string): KeyferryError {
  return new KeyferryError('NotFoundInLab', `${name} is not part of this lab.`, {
    remedy: 'Put up a lab with it; "keyferry lab status" lists the parts of this one.',
  });
}
