import { describeEtcdFaults } from '../support/etcd-faults.ts';

describeEtcdFaults('APIServer');
