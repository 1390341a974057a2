package hop

// level is what RFC 8221 or RFC 8247 asks of implementations for a transform.
type level uint8

// The levels. What a table does not name is MAY by default (the notes under
// RFC 8221 section 8 and RFC 8247 section 2.5), which is unlisted here.
const (
	unlisted level = iota
	may
	should
	shouldPlus
	must
	mustMinus
	shouldNot
	mustNot
)

func (l level) String() string {
	return [...]string{"MAY", "MAY", "SHOULD", "SHOULD+", "MUST", "MUST-", "SHOULD NOT", "MUST NOT"}[l]
}

// kind is the function of a transform in a proposal.
type kind uint8

const (
	cipher    kind = iota + 1 // encryption without integrity
	aead                      // both in one
	integrity                 // of what a cipher encrypts
	prf                       // pseudorandom function, of IKE alone
	group                     // key exchange
	sequence                  // extended sequence numbers, of ESP alone
)

// transform is a row of the RFCs' tables, or an algorithm that strongSwan has beyond them.
type transform struct {
	name     string // as the RFCs write it
	kind     kind
	words    string // strongSwan's words; where it has none, words that an operator might write
	esp, ike level
	refused  string // why it is, in words; empty: it is allowed
}

// Reasons for more than one refusal.
const (
	noIntegrity  = "it authenticates and does not encrypt, which RFC 8213 section 3 requires"
	unspecified  = "no RFC specifies it"
	privateUse   = "it has a private number, which means something else to another implementation"
	smallGroup   = "its margin is too narrow: it can be broken, and what was recorded be read"
	unsafePrime  = "not a safe prime, and where it comes from was never told"
	shortBlocks  = "blocks of 64 bits collide after some gigabytes"
	brokenCipher = "it is broken by trying all keys"
	md5          = "MD5 is broken"
)

// transforms are all rows, those that are offered first before the rest.
var transforms = []transform{
	// RFC 8221 section 5, RFC 8247 section 2.1.
	{name: "ENCR_AES_GCM_16", kind: aead, words: "aes256gcm16 aes256gcm aes256gcm128 aes128gcm16 aes128gcm aes128gcm128", esp: must, ike: should},
	{name: "ENCR_AES_GCM_16 of 192 bits", kind: aead, words: "aes192gcm16 aes192gcm aes192gcm128", esp: may, ike: may},
	{name: "ENCR_AES_GCM_12", kind: aead, words: "aes256gcm12 aes256gcm96 aes192gcm12 aes192gcm96 aes128gcm12 aes128gcm96", ike: may},
	{name: "ENCR_AES_GCM_8", kind: aead, words: "aes256gcm8 aes256gcm64 aes192gcm8 aes192gcm64 aes128gcm8 aes128gcm64", ike: may},
	{name: "ENCR_CHACHA20_POLY1305", kind: aead, words: "chacha20poly1305", esp: should, ike: should},
	{name: "ENCR_AES_CCM_8", kind: aead, words: "aes128ccm8 aes128ccm64", esp: should, ike: should},
	{name: "ENCR_AES_CCM_8 of 192 and 256 bits", kind: aead, words: "aes256ccm8 aes256ccm64 aes192ccm8 aes192ccm64", ike: may},
	{name: "ENCR_AES_CCM_12", kind: aead, words: "aes256ccm12 aes256ccm96 aes192ccm12 aes192ccm96 aes128ccm12 aes128ccm96"},
	{name: "ENCR_AES_CCM_16", kind: aead, words: "aes256ccm16 aes256ccm aes256ccm128 aes192ccm16 aes192ccm aes192ccm128 aes128ccm16 aes128ccm aes128ccm128"},
	{name: "ENCR_AES_CBC", kind: cipher, words: "aes256 aes128 aes", esp: must, ike: must},
	{name: "ENCR_AES_CBC of 192 bits", kind: cipher, words: "aes192", esp: may, ike: may},
	{name: "ENCR_AES_CTR", kind: cipher, words: "aes256ctr aes192ctr aes128ctr", esp: may, ike: may},
	{name: "ENCR_CAMELLIA_CBC", kind: cipher, words: "camellia256 camellia192 camellia128 camellia"},
	{name: "ENCR_CAMELLIA_CTR", kind: cipher, words: "camellia256ctr camellia192ctr camellia128ctr"},
	{name: "ENCR_3DES", kind: cipher, words: "3des", esp: shouldNot, ike: may, refused: shortBlocks},
	{name: "ENCR_DES", kind: cipher, words: "des", esp: mustNot, ike: mustNot, refused: brokenCipher},
	{name: "ENCR_DES_IV64", kind: cipher, words: "des_iv64", esp: mustNot, refused: brokenCipher},
	{name: "ENCR_DES_IV32", kind: cipher, words: "des_iv32", esp: mustNot, refused: brokenCipher},
	{name: "ENCR_BLOWFISH", kind: cipher, words: "blowfish blowfish128 blowfish192 blowfish256", esp: mustNot, refused: shortBlocks},
	{name: "ENCR_3IDEA", kind: cipher, words: "3idea", esp: mustNot, refused: unspecified},
	{name: "ENCR_IDEA", kind: cipher, words: "idea", refused: shortBlocks},
	{name: "ENCR_CAST", kind: cipher, words: "cast128 cast", refused: shortBlocks},
	{name: "ENCR_RC5", kind: cipher, words: "rc5", refused: shortBlocks},
	{name: "ENCR_SERPENT_CBC", kind: cipher, words: "serpent serpent128 serpent192 serpent256", refused: privateUse},
	{name: "ENCR_TWOFISH_CBC", kind: cipher, words: "twofish twofish128 twofish192 twofish256", refused: privateUse},
	{name: "ENCR_CHACHA20_POLY1305 of a draft", kind: aead, words: "chacha20poly1305compat", refused: unspecified},
	{name: "ENCR_NULL", kind: cipher, words: "null", esp: must, ike: mustNot, refused: noIntegrity},
	{name: "ENCR_NULL_AUTH_AES_GMAC", kind: aead, words: "aes128gmac aes192gmac aes256gmac", refused: noIntegrity},

	// RFC 8221 section 6, RFC 8247 section 2.3.
	{name: "AUTH_HMAC_SHA2_256_128", kind: integrity, words: "sha256 sha2_256", esp: must, ike: must},
	{name: "AUTH_HMAC_SHA2_512_256", kind: integrity, words: "sha512 sha2_512", esp: should, ike: should},
	{name: "AUTH_HMAC_SHA2_384_192", kind: integrity, words: "sha384 sha2_384"},
	{name: "AUTH_HMAC_SHA1_96", kind: integrity, words: "sha1 sha", esp: mustMinus, ike: mustMinus},
	{name: "AUTH_AES_XCBC_96", kind: integrity, words: "aesxcbc", esp: may, ike: should},
	{name: "AUTH_AES_CMAC_96", kind: integrity, words: "aescmac"},
	{name: "AUTH_HMAC_MD5_96", kind: integrity, words: "md5", esp: mustNot, ike: mustNot, refused: md5},
	{name: "AUTH_HMAC_MD5_128", kind: integrity, words: "md5_128", refused: md5},
	{name: "AUTH_KPDK_MD5", kind: integrity, words: "kpdk_md5", esp: mustNot, ike: mustNot, refused: md5},
	{name: "AUTH_DES_MAC", kind: integrity, words: "des_mac", esp: mustNot, ike: mustNot, refused: "DES is broken"},
	{name: "AUTH_HMAC_SHA1_160", kind: integrity, words: "sha1_160", refused: unspecified + " for IPsec"},
	{name: "AUTH_HMAC_SHA2_256_96", kind: integrity, words: "sha256_96 sha2_256_96", refused: "it repeats an error of old implementations, which cut the hash too short"},
	{name: "AUTH_CAMELLIA_XCBC_96", kind: integrity, words: "camelliaxcbc", refused: privateUse},
	{name: "AUTH_AES_128_GMAC and AUTH_AES_256_GMAC", kind: integrity, words: "gmac", esp: may, refused: "it is for AH, not for ESP"},
	{name: "AUTH_NONE", kind: integrity, words: "auth_none", esp: mustNot, refused: "an AEAD needs no word for it, and without an AEAD nothing would be authenticated (RFC 8221 section 4)"},

	// RFC 8247 section 2.2.
	{name: "PRF_HMAC_SHA2_256", kind: prf, words: "prfsha256", ike: must},
	{name: "PRF_HMAC_SHA2_512", kind: prf, words: "prfsha512", ike: shouldPlus},
	{name: "PRF_HMAC_SHA2_384", kind: prf, words: "prfsha384"},
	{name: "PRF_HMAC_SHA1", kind: prf, words: "prfsha1", ike: mustMinus},
	{name: "PRF_AES128_XCBC", kind: prf, words: "prfaesxcbc", ike: should},
	{name: "PRF_AES128_CMAC", kind: prf, words: "prfaescmac"},
	{name: "PRF_HMAC_MD5", kind: prf, words: "prfmd5", ike: mustNot, refused: md5},
	{name: "PRF_CAMELLIA128_XCBC", kind: prf, words: "prfcamelliaxcbc", refused: privateUse},

	// RFC 8247 section 2.4, for IKE and for the fresh exchange of an ESP SA.
	{name: "group 31, Curve25519", kind: group, words: "x25519 curve25519"},
	{name: "group 32, Curve448", kind: group, words: "x448 curve448"},
	{name: "group 19, 256-bit random ECP", kind: group, words: "ecp256", esp: should, ike: should},
	{name: "group 20, 384-bit random ECP", kind: group, words: "ecp384"},
	{name: "group 21, 521-bit random ECP", kind: group, words: "ecp521"},
	{name: "group 14, 2048-bit MODP", kind: group, words: "modp2048", esp: must, ike: must},
	{name: "group 15, 3072-bit MODP", kind: group, words: "modp3072"},
	{name: "group 16, 4096-bit MODP", kind: group, words: "modp4096"},
	{name: "group 17, 6144-bit MODP", kind: group, words: "modp6144"},
	{name: "group 18, 8192-bit MODP", kind: group, words: "modp8192"},
	{name: "group 26, 224-bit random ECP", kind: group, words: "ecp224"},
	{name: "Brainpool groups 27 to 30", kind: group, words: "ecp224bp ecp256bp ecp384bp ecp512bp"},
	{name: "group 25, 192-bit random ECP", kind: group, words: "ecp192", refused: "it is weaker than group 14, the least that RFC 8247 asks for"},
	{name: "group 5, 1536-bit MODP", kind: group, words: "modp1536", esp: shouldNot, ike: shouldNot, refused: smallGroup},
	{name: "group 2, 1024-bit MODP", kind: group, words: "modp1024", esp: shouldNot, ike: shouldNot, refused: smallGroup},
	{name: "group 1, 768-bit MODP", kind: group, words: "modp768", esp: mustNot, ike: mustNot, refused: "it is broken within hours"},
	{name: "group 22, 1024-bit MODP with 160-bit subgroup", kind: group, words: "modp1024s160", esp: mustNot, ike: mustNot, refused: unsafePrime},
	{name: "group 23, 2048-bit MODP with 224-bit subgroup", kind: group, words: "modp2048s224", esp: shouldNot, ike: shouldNot, refused: unsafePrime},
	{name: "group 24, 2048-bit MODP with 256-bit subgroup", kind: group, words: "modp2048s256", esp: shouldNot, ike: shouldNot, refused: unsafePrime},
	{name: "no key exchange at all", kind: group, words: "modpnull", refused: "it is for tests, and exchanges nothing"},
	{name: "NTRU and NewHope", kind: group, words: "ntru112 ntru128 ntru192 ntru256 newhope128", refused: privateUse},

	// RFC 7296 section 3.3.2.
	{name: "32-bit sequence numbers", kind: sequence, words: "noesn"},
	{name: "64-bit sequence numbers", kind: sequence, words: "esn"},
}
