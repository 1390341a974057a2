package dhcp6

import "strconv"

// OptionCode is the option-code of an option (RFC 8415 section 21.1).
type OptionCode uint16

// The option codes that a relay agent, a delegation, a leasequery or a server
// meets. The registry has more; String knows those as well.
const (
	OptionClientID               OptionCode = 1
	OptionServerID               OptionCode = 2
	OptionIANA                   OptionCode = 3
	OptionIATA                   OptionCode = 4 // obsolete since RFC 9915; passes through
	OptionIAAddr                 OptionCode = 5
	OptionORO                    OptionCode = 6
	OptionPreference             OptionCode = 7
	OptionElapsedTime            OptionCode = 8
	OptionRelayMessage           OptionCode = 9
	OptionAuth                   OptionCode = 11
	OptionUnicast                OptionCode = 12 // obsolete since RFC 9915; passes through
	OptionStatusCode             OptionCode = 13
	OptionRapidCommit            OptionCode = 14
	OptionUserClass              OptionCode = 15
	OptionVendorClass            OptionCode = 16
	OptionVendorOpts             OptionCode = 17
	OptionInterfaceID            OptionCode = 18
	OptionReconfMessage          OptionCode = 19
	OptionReconfAccept           OptionCode = 20
	OptionDNSServers             OptionCode = 23
	OptionDomainList             OptionCode = 24
	OptionIAPD                   OptionCode = 25
	OptionIAPrefix               OptionCode = 26
	OptionSNTPServers            OptionCode = 31
	OptionInformationRefreshTime OptionCode = 32
	OptionRemoteID               OptionCode = 37 // RFC 4649
	OptionSubscriberID           OptionCode = 38 // RFC 4580
	OptionClientFQDN             OptionCode = 39
	OptionERO                    OptionCode = 43 // Echo Request, RFC 4994
	OptionLQQuery                OptionCode = 44 // 44 to 48: RFC 5007
	OptionClientData             OptionCode = 45
	OptionCLTTime                OptionCode = 46
	OptionLQRelayData            OptionCode = 47
	OptionLQClientLink           OptionCode = 48
	OptionRelayID                OptionCode = 53 // RFC 5460 section 5.4
	OptionNTPServer              OptionCode = 56
	OptionBootFileURL            OptionCode = 59 // OPT_BOOTFILE_URL, RFC 5970
	OptionClientArchitectures    OptionCode = 61 // CLIENT_ARCH_TYPE, RFC 5970
	OptionAFTRName               OptionCode = 64
	OptionRSOO                   OptionCode = 66 // Relay-Supplied Options, RFC 6422
	OptionPDExclude              OptionCode = 67 // RFC 6603
	OptionVSS                    OptionCode = 68 // RFC 6607
	OptionClientLinkLayer        OptionCode = 79 // RFC 6939
	OptionLinkAddress            OptionCode = 80 // RFC 6977
	OptionSolMaxRT               OptionCode = 82
	OptionInfMaxRT               OptionCode = 83
	OptionDHCPv4Message          OptionCode = 87  // RFC 7341
	OptionDHCP4oDHCP6Server      OptionCode = 88  // RFC 7341
	OptionLQBaseTime             OptionCode = 100 // 100 to 102: RFC 7653
	OptionLQStartTime            OptionCode = 101
	OptionLQEndTime              OptionCode = 102
	OptionANIAccessTechnology    OptionCode = 105 // ANI_ATT; 105 to 110: RFC 7839
	OptionANINetworkName         OptionCode = 106
	OptionANIAccessPointName     OptionCode = 107
	OptionANIAccessPointBSSID    OptionCode = 108
	OptionANIOperatorID          OptionCode = 109
	OptionANIOperatorRealm       OptionCode = 110
	OptionRelayPort              OptionCode = 135 // RFC 8357
	OptionIALL                   OptionCode = 138 // RFC 8947
	OptionLLAddr                 OptionCode = 139 // RFC 8947
	OptionSLAPQuad               OptionCode = 140 // RFC 8948
	OptionAddrRegEnable          OptionCode = 148 // RFC 9686
)

// optionNames holds the registry's names without the prefix "OPTION_".
var optionNames = [...]string{
	1: "CLIENTID", 2: "SERVERID", 3: "IA_NA", 4: "IA_TA", 5: "IAADDR", 6: "ORO",
	7: "PREFERENCE", 8: "ELAPSED_TIME", 9: "RELAY_MSG", 11: "AUTH", 12: "UNICAST",
	13: "STATUS_CODE", 14: "RAPID_COMMIT", 15: "USER_CLASS", 16: "VENDOR_CLASS",
	17: "VENDOR_OPTS", 18: "INTERFACE_ID", 19: "RECONF_MSG", 20: "RECONF_ACCEPT",
	21: "SIP_SERVER_D", 22: "SIP_SERVER_A", 23: "DNS_SERVERS", 24: "DOMAIN_LIST",
	25: "IA_PD", 26: "IAPREFIX", 27: "NIS_SERVERS", 28: "NISP_SERVERS",
	29: "NIS_DOMAIN_NAME", 30: "NISP_DOMAIN_NAME", 31: "SNTP_SERVERS",
	32: "INFORMATION_REFRESH_TIME", 33: "BCMCS_SERVER_D", 34: "BCMCS_SERVER_A",
	36: "GEOCONF_CIVIC", 37: "REMOTE_ID", 38: "SUBSCRIBER_ID", 39: "CLIENT_FQDN",
	40: "PANA_AGENT", 41: "NEW_POSIX_TIMEZONE", 42: "NEW_TZDB_TIMEZONE", 43: "ERO",
	44: "LQ_QUERY", 45: "CLIENT_DATA", 46: "CLT_TIME", 47: "LQ_RELAY_DATA",
	48: "LQ_CLIENT_LINK", 49: "MIP6_HNIDF", 50: "MIP6_VDINF", 51: "V6_LOST",
	52: "CAPWAP_AC_V6", 53: "RELAY_ID", 54: "IPv6_Address-MoS", 55: "IPv6_FQDN-MoS",
	56: "NTP_SERVER", 57: "V6_ACCESS_DOMAIN", 58: "SIP_UA_CS_LIST",
	59: "OPT_BOOTFILE_URL", 60: "OPT_BOOTFILE_PARAM", 61: "CLIENT_ARCH_TYPE", 62: "NII",
	63: "GEOLOCATION", 64: "AFTR_NAME", 65: "ERP_LOCAL_DOMAIN_NAME", 66: "RSOO",
	67: "PD_EXCLUDE", 68: "VSS", 69: "MIP6_IDINF", 70: "MIP6_UDINF", 71: "MIP6_HNP",
	72: "MIP6_HAA", 73: "MIP6_HAF", 74: "RDNSS_SELECTION", 75: "KRB_PRINCIPAL_NAME",
	76: "KRB_REALM_NAME", 77: "KRB_DEFAULT_REALM_NAME", 78: "KRB_KDC",
	79: "CLIENT_LINKLAYER_ADDR", 80: "LINK_ADDRESS", 81: "RADIUS", 82: "SOL_MAX_RT",
	83: "INF_MAX_RT", 84: "ADDRSEL", 85: "ADDRSEL_TABLE", 86: "V6_PCP_SERVER",
	87: "DHCPV4_MSG", 88: "DHCP4_O_DHCP6_SERVER", 89: "S46_RULE", 90: "S46_BR",
	91: "S46_DMR", 92: "S46_V4V6BIND", 93: "S46_PORTPARAMS", 94: "S46_CONT_MAPE",
	95: "S46_CONT_MAPT", 96: "S46_CONT_LW", 97: "4RD", 98: "4RD_MAP_RULE",
	99: "4RD_NON_MAP_RULE", 100: "LQ_BASE_TIME", 101: "LQ_START_TIME",
	102: "LQ_END_TIME", 103: "CAPTIVE_PORTAL", 104: "MPL_PARAMETERS", 105: "ANI_ATT",
	106: "ANI_NETWORK_NAME", 107: "ANI_AP_NAME", 108: "ANI_AP_BSSID",
	109: "ANI_OPERATOR_ID", 110: "ANI_OPERATOR_REALM", 111: "S46_PRIORITY",
	112: "MUD_URL_V6", 113: "V6_PREFIX64", 114: "F_BINDING_STATUS",
	115: "F_CONNECT_FLAGS", 116: "F_DNS_REMOVAL_INFO", 117: "F_DNS_HOST_NAME",
	118: "F_DNS_ZONE_NAME", 119: "F_DNS_FLAGS", 120: "F_EXPIRATION_TIME",
	121: "F_MAX_UNACKED_BNDUPD", 122: "F_MCLT", 123: "F_PARTNER_LIFETIME",
	124: "F_PARTNER_LIFETIME_SENT", 125: "F_PARTNER_DOWN_TIME",
	126: "F_PARTNER_RAW_CLT_TIME", 127: "F_PROTOCOL_VERSION", 128: "F_KEEPALIVE_TIME",
	129: "F_RECONFIGURE_DATA", 130: "F_RELATIONSHIP_NAME", 131: "F_SERVER_FLAGS",
	132: "F_SERVER_STATE", 133: "F_START_TIME_OF_STATE", 134: "F_STATE_EXPIRATION_TIME",
	135: "RELAY_PORT", 138: "IA_LL", 139: "LLADDR", 140: "SLAP_QUAD",
	143: "IPv6_Address-ANDSF", 148: "ADDR_REG_ENABLE",
}

// String returns the registry's name without "OPTION_", such as "IA_PD", or
// "option N" for a code that has none here.
func (c OptionCode) String() string {
	if int(c) < len(optionNames) && optionNames[c] != "" {
		return optionNames[c]
	}
	return "option " + strconv.Itoa(int(c))
}
