"""Japanese V2H units over ECHONET Lite: class 0x027E, UDP 3610."""
